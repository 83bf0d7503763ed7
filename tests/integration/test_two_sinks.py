"""Two sink processes on one log and one database, killed and paused, store the same as one."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from msgspec import Struct

from conformance.api import eventually
from schemas.brokers import Broker
from services.sink.migrate import migrate
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    check_stored,
    running_sink,
)
from tests.support.reader_flow import Flow
from tests.support.reader_outcomes import ALICE, BOB, T0
from tests.support.servers import DatabaseServer, KafkaServer

SEED = 17
BLOWS = 12
STOPS_WITHIN_S = 10.0
TABLES = ("orders", "trades", "symbols", "balances", "log_positions", "brokers", "log_identity")


class Sinks(Struct):
    """Up to two sink processes; a killed process is replaced immediately."""

    environ: dict[str, str]
    processes: list[subprocess.Popen[bytes]]

    def start(self) -> None:
        command = [sys.executable, "-m", "services.sink"]
        self.processes.append(subprocess.Popen(command, env=self.environ))

    def inject_fault(self, rng: random.Random) -> None:
        """Kill one process and start another, or pause one for a moment."""
        victim = rng.choice(self.processes)
        if rng.random() < 0.5:
            victim.kill()
            victim.wait()
            self.processes.remove(victim)
            self.start()
        else:
            victim.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(0.1, 0.5))
            victim.send_signal(signal.SIGCONT)


@contextmanager
def two_sinks(environ: dict[str, str]) -> Iterator[Sinks]:
    """Two running sinks; each must exit with 0 on SIGTERM, so that no earlier failure is missed."""
    sinks = Sinks(environ, [])
    try:
        sinks.start()
        sinks.start()
        yield sinks
        for process in sinks.processes:
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOPS_WITHIN_S) == 0
    finally:
        for process in sinks.processes:
            process.kill()
            process.wait()


def migrated(postgres: DatabaseServer) -> str:
    url = postgres.create_database(f"two_{uuid.uuid4().hex[:12]}")
    migrate(url)
    return url


def rows(url: str, table: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        found = connection.execute(f"SELECT * FROM {table}".encode()).fetchall()  # noqa: S608 - ours
    return sorted(found, key=repr)


def test_two_sinks_killed_and_paused_store_the_same_rows_as_one(
    kafka: KafkaServer, postgres: DatabaseServer
) -> None:
    rng = random.Random(SEED)
    log, flows = HandwrittenLog(kafka.bootstrap_servers), [Flow(0, SEED), Flow(1, SEED + 1)]
    url, alone = migrated(postgres), migrated(postgres)
    environ = dict(os.environ) | {
        "EXCHANGE_KAFKA": log.bootstrap,
        "EXCHANGE_DATABASE_URL": url,
        "EXCHANGE_TOPIC_PREFIX": log.prefix,
    }
    for number, broker_id in enumerate((ALICE, BOB)):
        log.append_broker(Broker(broker_id, f"Broker {number}", "0" * 64, T0))
    with two_sinks(environ) as sinks:
        for _ in range(BLOWS):
            before = log.stored_commands(url)
            for _ in range(6):
                for flow in flows:
                    log.append(flow.batch(rng.randint(1, 200)))
            if rng.random() < 0.5:
                eventually("a sink stores", partial(log.has_more_than, before, url))
            sinks.inject_fault(rng)
        eventually("the two sinks store the run", lambda: log.stored_up_to(url))
    check_stored(log, url, log.views.orders_in_memory())
    with running_sink(log.source(), alone):
        eventually("the one sink stores the run", lambda: log.stored_up_to(alone))
    for table in TABLES:
        assert rows(url, table) == rows(alone, table), table
        assert rows(url, table), f"{table} is empty"
