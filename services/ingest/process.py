"""`python -m services.ingest`: composes and runs ingest as a separate process."""

import argparse
import os

import uvloop

from services.api.service import serve
from services.ingest.wiring import build
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import Stop, run
from services.runtime.settings import Settings


def ingest(settings: Settings, stop: Stop) -> None:
    """Verify the topics, then take orders until the stop."""
    topology = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    uvloop.run(serve("Exchange: ingest", build, settings, topology, stop))


def main() -> int:
    """Exit code as in `services.runtime.errors`."""
    argparse.ArgumentParser(
        prog="python -m services.ingest",
        description="Takes registrations, orders and cancels over HTTP into the command log. "
        "Settings are EXCHANGE_... variables: EXCHANGE_KAFKA, EXCHANGE_ADMIN_KEY, EXCHANGE_HOST, "
        "EXCHANGE_PORT; EXCHANGE_READER_URL where cancels look orders up.",
    ).parse_args()
    return run("ingest", dict(os.environ), ingest)
