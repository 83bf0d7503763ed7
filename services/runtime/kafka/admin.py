"""Kafka admin calls that survive the loss of one broker of several.

A client keeps calling the controller that it found first, which may have just died; a new client
finds another one. Calls must be idempotent.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.logging_setup import kafka_logger

# A new controller is elected, and the dead one out of every list, after about 5 s.
TIMEOUT_S = 15.0
# Time limit of one client.
ATTEMPT_S = 3.0
RETRY_S = 0.1
_AWAY = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
        # Answer of a broker that has left the cluster; its replacement answers properly.
        KafkaError._DESTROY_BROKER,
    }
)

Answer = TypeVar("Answer")


def call_with_retry(kafka: KafkaAccess, question: Callable[[AdminClient], Answer]) -> Answer:
    """The result of `question`, whose own time-outs should be ATTEMPT_S.

    Raises UnavailableError without an answer in time, AccessError if Kafka refuses this user, and
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
            # The reason arrives by the error callback; the exception itself is only a time-out.
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
    """True if another client may get an answer to the same call."""
    return error.args[0].code() in _AWAY
