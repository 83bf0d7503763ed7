"""`python -m services.sink`: composes and runs the sink. `--migrate` updates the tables."""

import argparse
import os
import sys
from contextlib import closing

from schemas.topics import BROKERS, EXECUTIONS
from services.runtime.disks import measure_disks
from services.runtime.health import Health, health_answered
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topic_watch import TopicWatch
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import Stop, run
from services.runtime.postgres.connection import checked_url
from services.runtime.settings import Settings, require
from services.sink.loop import Sink, Source
from services.sink.migrate import migrate


def sink(settings: Settings, stop: Stop) -> None:
    """Run the sink of every partition until the stop."""
    # 1. The topics must be those of this version; the loop checks the tables, once PostgreSQL
    # answers.
    kafka = kafka_access(settings)
    database_url = checked_url(require(settings.database_url, "database_url"))
    topology = TopicsAdmin(kafka, settings.topic_prefix).verify()
    # 2. The loop and its health checks.
    identity = log_identity(kafka, settings.topic_prefix)
    loop = Sink(Source(kafka, topology, identity), database_url, stop)
    health = Health()
    health.add("postgres", loop.postgres)
    health.add("storing", loop.storing)
    health.add("caught_up", loop.caught_up)
    measure_disks(settings.disks)
    # 3. Until the stop.
    topics = [topology.name(EXECUTIONS), topology.name(BROKERS)]
    with closing(TopicWatch(kafka, topics, stop.fail)), health_answered(settings, health):
        loop.run()


def migrations(settings: Settings, _: Stop) -> None:
    """Apply missing migrations and exit."""
    applied = migrate(require(settings.database_url, "database_url"))
    sys.stdout.write(f"applied: {', '.join(applied) or 'nothing, all is up to date'}\n")


def main() -> int:
    """Exit code as in `services.runtime.errors` and `services.sink.errors`."""
    parser = argparse.ArgumentParser(
        prog="python -m services.sink",
        description="Stores executions and brokers in PostgreSQL. Settings are EXCHANGE_... "
        "variables: EXCHANGE_KAFKA, EXCHANGE_DATABASE_URL, EXCHANGE_METRICS_PORT.",
    )
    parser.add_argument("--migrate", action="store_true", help="apply missing migrations, and exit")
    chosen = migrations if parser.parse_args().migrate else sink
    return run("sink", dict(os.environ), chosen)
