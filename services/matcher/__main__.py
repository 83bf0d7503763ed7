"""`python -m services.matcher --partitions 0-3`: the matcher's composition root."""

import argparse
import os
import socket
import sys
import uuid

from services.matcher.loop import MatcherLoop
from services.matcher.recovery import Log
from services.runtime.health import Health, HealthServer
from services.runtime.lifecycle import Stop, run
from services.runtime.log_identity import log_identity
from services.runtime.settings import Settings, parse_partitions, require
from services.runtime.topics import TopicsAdmin


def main() -> int:
    """Parse arguments and run until stopped."""
    parser = argparse.ArgumentParser(prog="python -m services.matcher", description=__doc__)
    parser.add_argument("--partitions", default="all", help="0-3, 0,2 or all (default)")
    chosen: str = parser.parse_args().partitions

    def matcher(settings: Settings, stop: Stop) -> None:
        bootstrap = require(settings.kafka, "kafka")
        topology = TopicsAdmin(bootstrap, settings.topic_prefix).verify()
        partitions = parse_partitions(chosen, topology.partitions)
        health = Health()
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        log = Log(topology.prefix, log_identity(bootstrap, topology.prefix).topic_id)
        loop = MatcherLoop(settings, log, name, health)
        server = HealthServer(settings.metrics_port, health) if settings.metrics_port else None
        try:
            loop.run(partitions, stop)
        finally:
            if server is not None:
                server.close()

    return run("matcher", dict(os.environ), matcher)


if __name__ == "__main__":
    sys.exit(main())
