"""`python -m services.matcher --partitions 0-3`: composes and runs the matcher."""

import argparse
import os
import signal
import socket
import uuid
from contextlib import closing

from schemas.topics import BOOK, COMMANDS, EXECUTIONS, SNAPSHOTS, TRADES
from services.matcher.loop import MatcherLoop
from services.matcher.recovery import LogTopics
from services.matcher.standby import Standby
from services.runtime.health import Health, health_answered
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topic_watch import TopicWatch
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import Stop, run
from services.runtime.settings import Settings, parse_partitions

# The topics that a matcher reads or writes.
WATCHED = (COMMANDS, EXECUTIONS, TRADES, BOOK, SNAPSHOTS)


def main() -> int:
    """Parse arguments and run until stopped."""
    parser = argparse.ArgumentParser(prog="python -m services.matcher", description=__doc__)
    parser.add_argument("--partitions", default="all", help="0-3, 0,2 or all (default)")
    parser.add_argument(
        "--standby",
        action="store_true",
        help="follow in memory; take over on SIGUSR1, or when commands wait and no outcome comes "
        "for EXCHANGE_TAKEOVER_MS",
    )
    options = parser.parse_args()

    def matcher(settings: Settings, stop: Stop) -> None:
        kafka = kafka_access(settings)
        topology = TopicsAdmin(kafka, settings.topic_prefix).verify()
        partitions = parse_partitions(options.partitions, topology.partitions)
        health = Health()
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        log = LogTopics(topology.prefix, log_identity(kafka, topology.prefix).topic_id)
        standby = Standby(settings, log) if options.standby else None
        if standby is not None:
            signal.signal(signal.SIGUSR1, standby.ask)
            health.add("standby", standby.check)
        topics = [topology.name(topic) for topic in WATCHED]
        with (
            closing(TopicWatch(kafka, topics, stop.fail)),
            health_answered(settings, health),
        ):
            followed = standby.follow(partitions, stop) if standby else None
            if not stop.is_set():
                MatcherLoop(settings, log, name, health).run(partitions, stop, followed)

    return run("matcher", dict(os.environ), matcher)
