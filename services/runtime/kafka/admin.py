"""Questions and orders to Kafka's administration that outlive the death of one broker of several.

A client keeps asking the controller that it was told of, and on several nodes that may be the one
that has just died; a new client is told of another. What is asked must bear being asked twice.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.logging_setup import kafka_logger

# The controllers have elected another, and the dead one is out of every list, after about 5 s.
TIMEOUT_S = 15.0
# How long one client is asked.
ATTEMPT_S = 3.0
RETRY_S = 0.1
_AWAY = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
        # One that has left the cluster: its replacement answers.
        KafkaError._DESTROY_BROKER,
    }
)

Answer = TypeVar("Answer")


def call_with_retry(kafka: KafkaAccess, question: Callable[[AdminClient], Answer]) -> Answer:
    """What `question` returns; its own time-outs should be ATTEMPT_S.

    Raises UnavailableError when nobody answers in time, AccessError when we are refused, and
    KafkaException on any other error.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        heard: list[KafkaError] = []
        config = kafka.config() | {"error_cb": heard.append}
        admin = AdminClient(config, logger=kafka_logger())
        try:
            return question(admin)
        except KafkaException as error:
            # Why there is no connection is told beside the answer, which only says that it is late.
            admin.poll(0)
            for told in (error.args[0], *heard):
                if (refusal := kafka.refusal(told)) is not None:
                    raise refusal from error
            if not is_away(error):
                raise
            if time.monotonic() >= deadline:
                raise UnavailableError(f"Kafka does not answer: {error.args[0].str()}") from error
        time.sleep(RETRY_S)


def is_away(error: KafkaException) -> bool:
    """Whether the same question to another client may be answered."""
    return error.args[0].code() in _AWAY
