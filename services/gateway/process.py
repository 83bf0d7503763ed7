"""`python -m services.gateway`: composes and runs the whole API on one port."""

import argparse
import os

import uvloop

from services.api.service import serve
from services.gateway.wiring import build
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import Stop, run
from services.runtime.settings import Settings


def gateway(settings: Settings, stop: Stop) -> None:
    """Verify the topics, then answer until the stop."""
    topology = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    uvloop.run(serve("Exchange", build, settings, topology, stop))


def main() -> int:
    """Exit code as in `services.runtime.errors`."""
    argparse.ArgumentParser(
        prog="python -m services.gateway",
        description="The exchange's API on one port: registers brokers, takes orders, answers "
        "orders, prices, books and balances. Settings are EXCHANGE_... variables: EXCHANGE_KAFKA, "
        "EXCHANGE_DATABASE_URL, EXCHANGE_ADMIN_KEY, EXCHANGE_HOST, EXCHANGE_PORT.",
    ).parse_args()
    return run("gateway", dict(os.environ), gateway)
