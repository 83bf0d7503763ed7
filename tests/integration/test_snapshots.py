"""Real matchers on a real Kafka: they begin at their newest good snapshot, or further back."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import Struct, structs

from infra.process import ChildProcess
from infra.servers import LocalServers
from loadgen.commands import commands
from loadgen.orderflow import Profile, plan
from schemas.codec import decode_snapshot, encode
from schemas.commands import Command, PlaceOrder
from schemas.snapshots import SnapshotChunk, SnapshotCommit
from schemas.topics import COMMANDS, SNAPSHOTS, Topic
from services.cli.audit_recompute import command_of
from services.cli.audit_run import run_audit
from services.cli.environment import environment
from services.cli.log_reader import LogReader, Record
from services.cli.stack import Stack
from services.matcher.engine import Engine, Position
from services.matcher.recovery import Log, Recovered, recover
from services.runtime.consumer import Fetch, LogConsumer
from services.runtime.errors import BrokenLogError, SupersededError
from services.runtime.log_identity import log_identity
from services.runtime.producer import FailFastSender, append
from services.runtime.settings import Settings
from tests.integration.audited_market import create_database
from tests.support.api import eventually
from tests.support.exchange import Exchange

EVERY = 150
FLOW = plan(Profile(duration_s=8, symbols=8, brokers=4, valid_seconds_percent=0), 5)
WAIT_S = 30.0
# No claim of a test stands so far out.
LATER_EPOCH = 1_000_000


class Market(Struct, frozen=True):
    """An exchange without an API on topics and a database of its own: commands in, rows out."""

    stack: Stack
    settings: Settings
    log: Log
    flow: Iterator[tuple[int, Command]]

    def send(self, count: int) -> None:
        """The next commands of the flow, into the only partition."""
        sender = FailFastSender(self.settings.kafka, linger_ms=1)
        for _, command in islice(self.flow, count):
            key = command.symbol.encode() if isinstance(command, PlaceOrder) else None
            sender.send(self.settings.topic_prefix + COMMANDS.name, 0, key, encode(command))
        sender.flush()

    def records(self, topic: Topic) -> list[Record]:
        """All that a topic holds."""
        where = self.log.partition(topic.name, 0)
        with closing(LogReader(self.settings.kafka, where)) as reader:
            return list(reader.records())

    def commits(self) -> list[tuple[int, SnapshotCommit]]:
        """Record and commit, oldest first."""
        found = [(r.offset, decode_snapshot(r.value)) for r in self.records(SNAPSHOTS)]
        return [(record, one) for record, one in found if isinstance(one, SnapshotCommit)]

    def wait_for_commits(self, count: int) -> None:
        """Until so many snapshots count."""
        eventually("a snapshot", lambda: len(self.commits()) >= count)

    def recover(self) -> Recovered:
        """As a matcher would that claims now."""
        consumer = LogConsumer(self.settings.kafka, Fetch(10))
        try:
            return recover(consumer, self.log, 0, LATER_EPOCH)
        finally:
            consumer.close()

    def append_commit(self, commit: SnapshotCommit | bytes) -> int:
        """As if somebody had written it after all others; its record."""
        value = commit if isinstance(commit, bytes) else encode(commit)
        topic = self.settings.topic_prefix + SNAPSHOTS.name
        return append(self.settings.kafka, topic, 0, b"0", value)

    def trim(self, topic: Topic, before: int) -> None:
        """Delete the records of a topic before this one."""
        where = TopicPartition(self.settings.topic_prefix + topic.name, 0, before)
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        admin.delete_records([where])[where].result()

    def matcher_log(self) -> str:
        """What the matchers said so far."""
        return self.stack.services["matcher"].log_file.read_text()

    def require_proved(self) -> None:
        """The audit of the log, the topics and the database finds nothing."""
        report = run_audit(self.settings, None, WAIT_S, lambda _: None)
        assert report.holds, "\n".join(report.lines())


@contextmanager
def a_market(exchange: Exchange, data_dir: Path) -> Iterator[Market]:
    url = create_database(exchange.database_url, "snapshots")
    settings = Settings(
        kafka=exchange.bootstrap,
        database_url=url,
        topic_prefix=f"snapshots{time.time_ns()}.",
        partitions=1,
        snapshot_every=EVERY,
        data_dir=data_dir,
    )
    servers = LocalServers(data_dir, kafka=exchange.bootstrap, database_url=url)
    stack = Stack(settings, servers)
    stack.prepare()
    identity = log_identity(settings.kafka, settings.topic_prefix)
    log = Log(settings.topic_prefix, identity.topic_id)
    flow = commands(FLOW, 0, time.time_ns() // 1_000_000)
    try:
        stack.start_all(("sink", "matcher"))
        yield Market(stack, settings, log, flow)
    finally:
        stack.stop_all()


@pytest.fixture
def market(exchange: Exchange, tmp_path: Path) -> Iterator[Market]:
    """A running one."""
    with a_market(exchange, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def stopped(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Market, int, SnapshotCommit]]:
    """A market with two snapshots whose matcher was stopped, and the newer with its record."""
    with a_market(exchange, tmp_path_factory.mktemp("stopped")) as market:
        for number in (1, 2):
            market.send(EVERY)
            market.wait_for_commits(number)
        market.stack.stop("matcher")
        yield market, *market.commits()[-1]


def test_killed_matcher_begins_at_its_snapshot_and_the_log_is_proved(market: Market) -> None:
    for number in (1, 2):
        market.send(EVERY + 20)
        market.wait_for_commits(number)
        market.stack.services["matcher"].kill()
        market.send(15)
        market.stack.start("matcher")
        market.stack.wait_ready("matcher")
        newest = market.commits()[-1][1]
        assert f'"next_command":{newest.next_command}' in market.matcher_log()
        assert market.matcher_log().count("snapshot loaded") == number
    market.require_proved()


def test_snapshot_is_the_engine_that_the_log_gives(
    stopped: tuple[Market, int, SnapshotCommit],
) -> None:
    market, _, _ = stopped
    engine = Engine(0)
    recovered = market.recover()
    for record in islice(market.records(COMMANDS), recovered.position.next_command):
        at = Position(0, record.offset, record.timestamp)
        engine.apply(command_of(record.value), at)
    assert recovered.position.next_command >= 2 * EVERY
    assert recovered.engine.digest() == engine.digest()


SPOILT: dict[str, Callable[[SnapshotCommit], SnapshotCommit | bytes]] = {
    "checksum": lambda commit: structs.replace(commit, clock=commit.clock + 1),
    "partition": lambda commit: structs.replace(commit, partition=1),
    "log": lambda commit: structs.replace(commit, log="another"),
    "version": lambda commit: structs.replace(commit, version=commit.version + 1),
    "chunks missing": lambda commit: structs.replace(commit, chunks=commit.chunks + 1),
    "chunks out of reach": lambda commit: structs.replace(commit, first_chunk=10**9),
    "later than the log": lambda commit: structs.replace(commit, next_command=10**9),
    "executions not there": lambda commit: structs.replace(commit, next_record=10**9),
    "no commit": lambda commit: encode(commit)[:-1],
    "chunk only": lambda commit: encode(SnapshotChunk(commit.epoch, commit.next_command, 0)),
}


@pytest.mark.parametrize("what", SPOILT)
def test_spoilt_snapshot_is_passed_over_for_the_one_before(
    stopped: tuple[Market, int, SnapshotCommit], what: str
) -> None:
    market, good, commit = stopped
    market.append_commit(SPOILT[what](commit))
    recovered = market.recover()
    assert recovered.commit == good
    assert recovered.engine.digest().hex() == commit.digest


def test_spoilt_snapshots_only_lead_to_the_whole_log(market: Market) -> None:
    market.send(10)
    market.append_commit(b"{")
    assert market.recover().commit is None
    assert market.recover().position.next_command == 0


def test_command_log_without_its_beginning_needs_a_snapshot_that_reaches_it(
    market: Market,
) -> None:
    market.send(EVERY + 10)
    market.wait_for_commits(1)
    _, commit = market.commits()[0]
    market.trim(COMMANDS, commit.next_command)
    market.stack.services["matcher"].kill()
    market.send(5)
    market.stack.start("matcher")
    market.stack.wait_ready("matcher")
    market.trim(COMMANDS, commit.next_command + 1)
    with pytest.raises(BrokenLogError, match="no good snapshot reaches it"):
        market.recover()
    market.stack.services["matcher"].kill()
    market.stack.start("matcher")
    matcher = market.stack.services["matcher"]
    assert matcher.wait(WAIT_S)
    assert matcher.exit_code == BrokenLogError.exit_code


def test_second_matcher_takes_over_and_a_frozen_first_one_changes_nothing(
    market: Market, tmp_path: Path
) -> None:
    market.send(EVERY + 10)
    first = market.stack.services["matcher"]
    first.pause()
    settings = structs.replace(market.settings, snapshot_every=50)
    second = ChildProcess(
        [sys.executable, "-m", "services.matcher", "--partitions", "0"],
        log_file=tmp_path / "second.log",
        env=environment(os.environ, settings, {}),
    )
    second.start()
    try:
        eventually("taken over", lambda: '"replayed"' in second.log_file.read_text())
        market.send(60)
        market.wait_for_commits(1)
        first.resume()
        market.send(60)
        assert first.wait(WAIT_S)
        assert first.exit_code == SupersededError.exit_code
        market.require_proved()
    finally:
        assert second.stop(signal.SIGTERM) == 0
    assert market.recover().commit == market.commits()[-1][0]
