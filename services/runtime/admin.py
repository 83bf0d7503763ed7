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
from services.runtime.log import kafka_logger

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


def ask(bootstrap: str, question: Callable[[AdminClient], Answer]) -> Answer:
    """What `question` returns; its own time-outs should be ATTEMPT_S.

    Raises UnavailableError when nobody answers in time, and KafkaException on any other error.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        admin = AdminClient({"bootstrap.servers": bootstrap}, logger=kafka_logger())
        try:
            return question(admin)
        except KafkaException as error:
            if not is_away(error):
                raise
            if time.monotonic() >= deadline:
                raise UnavailableError(f"Kafka does not answer: {error.args[0].str()}") from error
        time.sleep(RETRY_S)


def is_away(error: KafkaException) -> bool:
    """Whether the same question to another client may be answered."""
    return error.args[0].code() in _AWAY
