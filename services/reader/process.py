"""`python -m services.reader`: composes and runs the reader as a separate process."""

import argparse
import os

import uvloop

from services.api.service import serve
from services.reader.wiring import build
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import Stop, run
from services.runtime.settings import Settings


def reader(settings: Settings, stop: Stop) -> None:
    """Verify the topics, then answer until the stop."""
    topology = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    uvloop.run(serve("Exchange: reader", build, settings, topology, stop))


def main() -> int:
    """Exit code as in `services.runtime.errors`."""
    argparse.ArgumentParser(
        prog="python -m services.reader",
        description="Answers orders, prices, books and balances over HTTP. Settings are "
        "EXCHANGE_... variables: EXCHANGE_KAFKA, EXCHANGE_DATABASE_URL, EXCHANGE_HOST, "
        "EXCHANGE_PORT.",
    ).parse_args()
    return run("reader", dict(os.environ), reader)
