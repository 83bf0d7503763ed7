"""A market without an API, for tests of the matcher: commands in, database rows out."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import Struct, structs

from conformance.api import eventually
from infra.process import ChildProcess
from infra.servers import LocalServers
from loadgen.commands import commands
from loadgen.workload.orderflow import Profile, plan
from schemas.codec import decode_snapshot, encode
from schemas.commands import Command, PlaceOrder
from schemas.snapshots import SnapshotCommit
from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS, Topic
from services.audit.run import run_audit
from services.local.child_environment import environment
from services.local.exchange import LocalExchange
from services.matcher.recovery import LogTopics, Recovered, recover
from services.runtime.clock import now_ms
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer
from services.runtime.kafka.log_reader import LogReader, Record
from services.runtime.kafka.producer import FailFastSender, append
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from tests.integration.audited_market import create_database
from tests.support.exchange import Exchange

EVERY = 150
FLOW = plan(Profile(duration_s=80, symbols=8, brokers=4, valid_seconds_percent=0), 5)
WAIT_S = 30.0


class Market(Struct, frozen=True):
    """A matcher and a sink with a separate topic prefix and database, and no API."""

    stack: LocalExchange
    settings: Settings
    log: LogTopics
    flow: Iterator[tuple[int, Command]]

    def send(self, count: int) -> None:
        """Send the next commands of the flow to the only partition."""
        sender = FailFastSender(kafka_access(self.settings), linger_ms=1)
        chosen = list(islice(self.flow, count))
        assert len(chosen) == count, "the flow has no more commands"
        for _, command in chosen:
            key = command.symbol.encode() if isinstance(command, PlaceOrder) else None
            sender.send(COMMANDS.full_name(self.settings.topic_prefix), 0, key, encode(command))
        sender.flush()

    def records(self, topic: Topic) -> list[Record]:
        """All records of a topic."""
        where = self.log.partition(topic, 0)
        with closing(
            LogReader(kafka_access(self.settings), where, committed=topic.transactional)
        ) as reader:
            return list(reader.records())

    def end(self, topic: Topic) -> int:
        """End offset of a topic: the offset of its next record."""
        partition = self.log.partition(topic, 0)
        with closing(LogReader(kafka_access(self.settings), partition)) as reader:
            return reader.end

    def commits(self) -> list[tuple[int, SnapshotCommit]]:
        """Snapshot commits with the offset of each, oldest first."""
        found = [(r.offset, decode_snapshot(r.value)) for r in self.records(SNAPSHOTS)]
        return [(record, one) for record, one in found if isinstance(one, SnapshotCommit)]

    def wait_for_commits(self, count: int) -> None:
        """Wait until `count` snapshots are committed."""
        eventually("a snapshot", lambda: len(self.commits()) >= count)

    def recover(self) -> Recovered:
        """Recover as a matcher does that claims the partition now."""
        consumer = LogConsumer(kafka_access(self.settings), Fetch(10))
        try:
            return recover(consumer, self.log, 0, self.end(EXECUTIONS))
        finally:
            consumer.close()

    def append_commit(self, commit: SnapshotCommit | bytes) -> int:
        """Append a commit to the snapshots; return its offset."""
        value = commit if isinstance(commit, bytes) else encode(commit)
        topic = SNAPSHOTS.full_name(self.settings.topic_prefix)
        return append(kafka_access(self.settings), topic, 0, b"0", value)

    def trim(self, topic: Topic, before: int) -> None:
        """Delete the records of a topic below offset `before`."""
        where = TopicPartition(topic.full_name(self.settings.topic_prefix), 0, before)
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        admin.delete_records([where])[where].result()

    def second_matcher(
        self, log_file: Path, *options: str, snapshot_every: int = EVERY
    ) -> ChildProcess:
        """A second matcher for the same partition; the caller starts it."""
        settings = structs.replace(self.settings, snapshot_every=snapshot_every, takeover_ms=500)
        return ChildProcess(
            [sys.executable, "-m", "services.matcher", "--partitions", "0", *options],
            log_file=log_file,
            env=environment(os.environ, settings, {}),
        )

    def matcher_log(self) -> str:
        """Service log of the matchers up to now."""
        return self.stack.services["matcher"].log_file.read_text()

    def require_proved(self) -> None:
        """Require that the audit of the topics and the database finds no difference."""
        report = run_audit(self.settings, None, WAIT_S, Progress())
        assert report.holds, "\n".join(report.lines())


@contextmanager
def running_market(exchange: Exchange, data_dir: Path) -> Iterator[Market]:
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
    stack = LocalExchange(settings, servers)
    stack.prepare()
    identity = log_identity(kafka_access(settings), settings.topic_prefix)
    log = LogTopics(settings.topic_prefix, identity.topic_id)
    flow = commands(FLOW, 0, now_ms())
    try:
        stack.start_all(("sink", "matcher"))
        yield Market(stack, settings, log, flow)
    finally:
        stack.stop_all()
