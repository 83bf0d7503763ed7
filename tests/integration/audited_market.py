"""A recorded market for the tests of the audit, and modified copies of it.

A real matcher and a real sink process a seeded command flow once. Each test copies the topics or
the database, changes one thing in the copy, and runs the audit. Timestamps and offsets are copied
unchanged.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import psycopg
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from msgspec import Struct, structs
from psycopg import sql

from conformance.api import eventually
from infra.servers import LocalServers
from loadgen.commands import broker_id, commands
from loadgen.workload.orderflow import Profile, plan
from schemas.brokers import Broker, WebhookSecret, webhook_secret
from schemas.codec import decode_snapshot, encode
from schemas.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
)
from schemas.instruments import InstrumentRules
from schemas.snapshots import SnapshotCommit
from schemas.topics import BROKERS, COMMANDS, SNAPSHOTS, TOPICS, Topic
from schemas.units import SelfTradePrevention
from services.admin.brokers import register_broker
from services.audit.client_log import ClientLine
from services.audit.report import AuditReport
from services.audit.run import run_audit
from services.local.exchange import LocalExchange
from services.runtime.clock import now_ms
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader, Record
from services.runtime.kafka.producer import FailFastSender
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from tests.support.exchange import Exchange
from tests.support.snapshots import with_checksum

SEED = 11
# Validities below one second: some orders expire before they arrive, and all expire early.
PROFILE = Profile(
    duration_s=4,
    symbols=6,
    brokers=4,
    cancel_age_ms_mean=800,
    valid_short_percent=30,
    valid_seconds_percent=0,
    ioc_percent=10,
    fok_percent=10,
    post_only_percent=10,
    minimum_percent=10,
    stop_percent=10,
    replace_percent=10,
)
FLOW_STARTED_MS_AGO = 3_500
PORTION_COMMANDS = 50
PORTION_S = 0.02
# The command of a partition before which one of its symbols gets an instrument.
INSTRUMENT_AT = 60
# Every so many orders have self-trade prevention.
PREVENTION_EVERY = 2
# Of a plain order without it.
ICEBERG_SLICES = 4
# The command before which the other symbols get a dynamic band.
BAND_AT = 400
BAND_PPM = 3_000
PARTITIONS = 2
SNAPSHOT_EVERY = 150
WAIT_S = 30.0

Change = Callable[[Topic, list[Record]], list[Record]]


class AuditedMarket(Struct, frozen=True):
    """Settings of a recorded market, and the answers that its clients received."""

    settings: Settings
    client_lines: list[ClientLine]

    def audit(
        self, client_lines: list[ClientLine] | None = None, wait_s: float = 0.0
    ) -> AuditReport:
        """Run the audit and return its report."""
        return run_audit(self.settings, client_lines or self.client_lines, wait_s, Progress())


_copies = itertools.count(1)


@contextmanager
def recorded_market(exchange: Exchange, data_dir: Path) -> Iterator[AuditedMarket]:
    """A separate market on the exchange's servers; all of its services have stopped."""
    url = create_database(exchange.database_url, "audited")
    servers = LocalServers(data_dir, kafka=exchange.bootstrap, database_url=url)
    settings = Settings(
        kafka=exchange.bootstrap,
        database_url=url,
        topic_prefix=f"audited{time.time_ns()}.",
        partitions=PARTITIONS,
        snapshot_every=SNAPSHOT_EVERY,
        data_dir=data_dir,
    )
    stack = LocalExchange(settings, servers)
    stack.prepare()
    try:
        stack.start_all(("sink", "matcher"))
        for number in range(3):
            register_broker(settings, f"Broker {number}", None)
        _register_traders(settings)
        market = AuditedMarket(settings, list(_send(settings)))
        wait_for_expiries(settings)
        for number in range(PARTITIONS):
            eventually("a snapshot", partial(_has_snapshot, settings, number), WAIT_S)
        report = market.audit(wait_s=WAIT_S)
        if not report.holds:
            raise AssertionError("\n".join(report.lines()))
        _require_protected(url)
    finally:
        stack.stop_all()
    yield market


def wait_for_expiries(settings: Settings) -> None:
    """Wait until all is stored and no order can expire: then the matcher sends no tick any more."""

    def none_is_left() -> bool:
        with closing(psycopg.connect(settings.database_url)) as connection:
            positions = connection.execute("SELECT partition, next_command FROM log_positions")
            stored: dict[int, int] = dict(positions.fetchall())
            left = connection.execute(
                "SELECT FROM orders WHERE closed_reason IS NULL AND valid_until IS NOT NULL LIMIT 1"
            )
            none = left.fetchone() is None
        ends = {number: _end(settings, COMMANDS, number) for number in stored}
        return none and bool(stored) and stored == ends

    eventually("every order with an end is closed", none_is_left, WAIT_S)


def _end(settings: Settings, topic: Topic, number: int) -> int:
    partition = Partition(topic.full_name(settings.topic_prefix), number)
    with closing(LogReader(kafka_access(settings), partition)) as reader:
        return reader.end


def _has_snapshot(settings: Settings, number: int) -> bool:
    """True if a snapshot of the partition is committed; another thread writes them."""
    snapshots = Partition(SNAPSHOTS.full_name(settings.topic_prefix), number)
    with closing(LogReader(kafka_access(settings), snapshots)) as reader:
        records = (decode_snapshot(record.value) for record in reader.records())
        return any(isinstance(record, SnapshotCommit) for record in records)


def _register_traders(settings: Settings) -> None:
    """Register three brokers of the flow, two of them with a webhook URL."""
    sender = FailFastSender(kafka_access(settings), linger_ms=0)
    for number in range(3):
        url = "http://receiver.invalid/" if number else None
        secrets = (WebhookSecret(webhook_secret(bytes(24))),) if url else ()
        trader = Broker(broker_id(number), f"Trader {number}", f"{number:064x}", 1, url, secrets)
        name = BROKERS.full_name(settings.topic_prefix)
        sender.send(name, 0, trader.broker_id.encode(), encode(trader))
    sender.flush()


def _send(settings: Settings) -> Iterator[ClientLine]:
    sender = FailFastSender(kafka_access(settings), linger_ms=1)
    topic = COMMANDS.full_name(settings.topic_prefix)
    start_ms = now_ms() - FLOW_STARTED_MS_AGO
    for partition in range(PARTITIONS):
        flow = plan(PROFILE, SEED + partition)
        own = tuple(f"{symbol[:5]}.{partition}" for symbol in flow.symbols)
        flowing = commands(structs.replace(flow, symbols=own), partition, start_ms)
        for number, command in enumerate(_controlled(flowing, own)):
            if number % PORTION_COMMANDS == 0:
                # Otherwise the matcher might poll all at once, and take one snapshot only.
                sender.flush()
                time.sleep(PORTION_S)
            if isinstance(command, PlaceOrder | SetInstrument):
                sender.send(topic, partition, command.symbol.encode(), encode(command))
            elif isinstance(command, CancelOrder | AmendOrder):
                sender.send(topic, partition, None, encode(command))
            if isinstance(command, PlaceOrder) and command.client_order_id is not None:
                yield ClientLine(
                    "acknowledged", command.broker_id, command.client_order_id, command.order_id
                )
        sender.send(topic, partition, None, b"not a command")
    sender.flush()


def _controlled(flowing: Iterable[tuple[int, Command]], own: Sequence[str]) -> Iterator[Command]:
    """The flow with rules of its symbols `own`, and orders with self-trade prevention."""
    for number, (_, command) in enumerate(flowing):
        if number == INSTRUMENT_AT:
            rules = InstrumentRules(tick_size=2, quantity_max=10_000)
            yield SetInstrument(own[0], "0123456789abcdef", rules, 10)
        if number == BAND_AT:
            for symbol in own[1:]:
                # Around the last trade's price.
                yield SetInstrument(symbol, "0" * 16, InstrumentRules(band_ppm=BAND_PPM))
        yield _entered(command, number) if isinstance(command, PlaceOrder) else command


def _entered(command: PlaceOrder, number: int) -> PlaceOrder:
    """The order; every few with one of the modes of self-trade prevention, or as an iceberg."""
    fields = structs.asdict(command)
    if number % PREVENTION_EVERY == 0:
        modes = get_args(SelfTradePrevention)
        mode = modes[number // PREVENTION_EVERY % len(modes)]
        return EnterOrder(**fields | {"self_trade_prevention": mode})
    if type(command) is PlaceOrder and command.price is not None:
        return EnterOrder(**fields, display_quantity=-(-command.quantity // ICEBERG_SLICES))
    return command


def _require_protected(database_url: str) -> None:
    """Raises AssertionError if the market lacks what the audit of protections is to examine."""
    with closing(psycopg.connect(database_url)) as connection:
        found = connection.execute("SELECT closed_reason, count(*) FROM orders GROUP BY 1")
        counts: dict[str | None, int] = dict(found.fetchall())
    for reason in ("self_trade", "price_band"):
        if not counts.get(reason):
            raise AssertionError(f"no order closed with {reason}: {counts}")


def create_database(server_url: str, name: str, template: str = "template0") -> str:
    """Create a database, as a copy of `template` if it has no connections; return its URL."""
    fresh = f"{name}_{time.time_ns()}"
    with closing(psycopg.connect(server_url, autocommit=True)) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(fresh), sql.Identifier(template)
            )
        )
    return f"{server_url.rsplit('/', 1)[0]}/{fresh}"


def with_changed_rows(market: AuditedMarket, server_url: str, statement: str) -> AuditedMarket:
    """Copy the market's database and execute `statement` in the copy."""
    template = market.settings.database_url.rsplit("/", 1)[1]
    url = create_database(server_url, "changed", template)
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        changed = connection.execute(statement.encode())
        if changed.rowcount < 1:
            raise AssertionError(f"changed nothing: {statement}")
    return structs.replace(market, settings=structs.replace(market.settings, database_url=url))


def with_changed_log(market: AuditedMarket, change: Change) -> AuditedMarket:
    """Copy the market's topics, with `change` applied to the records of each partition.

    The snapshots are rewritten with the copy's topic id; otherwise the audit would ignore them.
    """
    prefix = f"changed{next(_copies)}.{market.settings.topic_prefix}"
    copy = structs.replace(market.settings, topic_prefix=prefix)
    _create_topics(copy)
    topic_id = log_identity(kafka_access(copy), prefix).topic_id
    producer = Producer({"bootstrap.servers": copy.kafka, "enable.idempotence": True})
    for topic in TOPICS:
        for number in range(PARTITIONS if topic.by_symbol else 1):
            source = Partition(topic.full_name(market.settings.topic_prefix), number)
            committed = topic.transactional
            with closing(LogReader(kafka_access(copy), source, committed=committed)) as reader:
                records = list(reader.records())
            if topic is SNAPSHOTS:
                records = resealed(records, lambda it: structs.replace(it, log=topic_id))
            records = change(topic, records)
            for record in records:
                producer.produce(
                    topic.full_name(prefix),
                    record.value,
                    record.key,
                    number,
                    timestamp=record.timestamp,
                )
    producer.flush(WAIT_S)
    # Standard settings from here on; records keep the timestamps that they were written with.
    TopicsAdmin(kafka_access(copy), prefix).apply(PARTITIONS, "process")
    return structs.replace(market, settings=copy)


def resealed(
    records: list[Record], change: Callable[[SnapshotCommit], SnapshotCommit]
) -> list[Record]:
    """Apply `change` to every snapshot commit and recompute its checksum."""
    found: list[Record] = []
    for record in records:
        commit = decode_snapshot(record.value)
        if isinstance(commit, SnapshotCommit):
            changed = change(commit)
            last = commit.first_chunk + commit.chunks
            chunks = (chunk.value or b"" for chunk in records[commit.first_chunk : last])
            found.append(record._replace(value=encode(with_checksum(changed, chunks))))
        else:
            found.append(record)
    return found


def trim(market: AuditedMarket, topic: Topic, before: int) -> None:
    """Delete the records of partition 0 of a topic below offset `before`."""
    where = TopicPartition(topic.full_name(market.settings.topic_prefix), 0, before)
    admin = AdminClient({"bootstrap.servers": market.settings.kafka})
    admin.delete_records([where])[where].result()


def _create_topics(settings: Settings) -> None:
    """Create the exchange's topics so that records keep the producer's timestamps."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    topics = [
        NewTopic(
            topic.full_name(settings.topic_prefix),
            num_partitions=PARTITIONS if topic.by_symbol else 1,
            replication_factor=1,
            config={"message.timestamp.type": "CreateTime"},
        )
        for topic in TOPICS
    ]
    for created in admin.create_topics(topics).values():
        created.result()
