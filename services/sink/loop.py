"""Stores executions in PostgreSQL in batches, starting from the position stored there.

1. `_open`: connect, check the tables and that the database belongs to this log, store the brokers,
   read on from its positions.
2. `_gather`: outcomes that count, until a batch is full or nothing more has arrived.
3. `_ensure_brokers_known`: reads the brokers topic until every trader's webhook URL is known.
4. `_store_batch`: their rows and the new positions in one transaction.
A lost or silent connection, executions that have lost their tail, or another sink that was faster
lead back to 1; nothing is half written.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import closing

import psycopg
from confluent_kafka import Message
from msgspec import Struct

from schemas.broker_records import BrokerRecords
from schemas.brokers import Broker
from schemas.codec import UnreadableError
from schemas.topics import BROKERS, COMMANDS, EXECUTIONS
from schemas.topology import Topology
from services.runtime.errors import LostTailError, UnavailableError
from services.runtime.health import Check, check_age
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import AT_ONCE, Fetch, LogConsumer, Partition
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.execution_place import NoPlaceError, placed
from services.runtime.kafka.records import record_offset, record_partition
from services.runtime.kafka.topic_identity import LogIdentity
from services.runtime.kafka.unreadable import log_unreadable
from services.runtime.lifecycle import Stop
from services.runtime.logging_setup import RateLimit
from services.runtime.metrics import (
    LAG_RECORDS,
    QUARANTINED,
    SINK_BEHIND_SECONDS,
    SINK_ROWS,
)
from services.runtime.postgres.errors import outage, raise_if_auth_error, waitable
from services.sink.errors import ForeignDatabaseError, OvertakenError
from services.sink.migrate import require_migrated
from services.sink.recount import counted
from services.sink.rows import Rows
from services.sink.store import SILENCE_S_MAX, Move, SinkSession, Store

log = logging.getLogger(__name__)
# Interval of log lines while PostgreSQL is away.
log.addFilter(RateLimit(lines_per_minute=6))

# The sink may lag a second: larger fetches cost the broker little, and larger batches cost the sink
# and PostgreSQL less for each row.
FETCH = Fetch(wait_ms=200)
# One transaction: large enough for COPY's full speed, small enough to end within a second.
OUTCOMES_MAX = 5_000
RECORDS_MAX = 500
POLL_S = 0.25
RETRY_S = 0.5
# Pause of an overtaken sink, which leaves the work to the faster one.
YIELD_S = 1.0
# A transaction in progress at the stop may take this long; then its connection is aborted.
GRACE_S = 0.7
LAG_INTERVAL_S = 5.0
# A round without outcomes takes POLL_S, one with a slow disk as long as a statement may.
ROUND_AGE_S_MAX = 60.0


class Source(Struct, frozen=True):
    """Kafka's address, and the exchange's topics there."""

    kafka: KafkaAccess
    topology: Topology
    identity: LogIdentity


class Sink:
    """Run with `run` until the stop. Raises errors of `services.sink.errors`, `runtime.errors`."""

    def __init__(
        self,
        source: Source,
        database_url: str,
        stop: Stop,
        silence_s_max: float = SILENCE_S_MAX,
    ) -> None:
        self._source = source
        self._database_url = database_url
        self._stop = stop
        self._silence_s_max = silence_s_max
        self._executions = source.topology.name(EXECUTIONS)
        self._brokers = Partition(source.topology.name(BROKERS), 0)
        # From zero, so that the first one counts as an increase.
        QUARANTINED.labels(self._brokers.topic)
        self._store: Store | None = None
        self._left_behind: SinkSession | None = None
        self._migrated = False
        self._stored: dict[int, FilterPosition] = {}
        self._filter = ExecutionFilter({}, log_unreadable)
        self._pending: deque[Message] = deque()
        self._brokers_next = 0
        self._broker_records = BrokerRecords()
        # Brokers whose record was read or does not exist, and those of them that have a URL.
        self._known_brokers: set[str] = set()
        self._with_webhook: set[str] = set()
        self._ends: dict[int, int] = {}
        # Ends of partitions up to which all records were fetched; the last offsets may hold none.
        self._reached: dict[Partition, int] = {}
        self._lag_at = 0.0
        self._round_at: float | None = None

    def run(self) -> None:
        """Store outcomes until the stop; wait whenever PostgreSQL is unavailable."""
        self._stop.on_set(self._end_soon)
        self._consumer = LogConsumer(self._source.kafka, FETCH)
        try:
            self._measure_start()
            while not self._stop.is_set():
                self._session()
        finally:
            if self._store is not None:
                self._store.close()
            self._consumer.close()

    def _end_soon(self) -> None:
        timer = threading.Timer(GRACE_S, self._cut)
        timer.daemon = True
        timer.start()

    def _cut(self) -> None:
        store = self._store
        if store is not None:
            store.cut()

    def _measure_start(self) -> None:
        for number in range(self._source.topology.partitions):
            self._ends[number] = self._consumer.range(Partition(self._executions, number)).end

    def _session(self) -> None:
        try:
            store = self._open()
            while not self._stop.is_set():
                rows = self._gather(store)
                self._ensure_brokers_known(rows.traders(), store)
                self._store_batch(store, rows)
                self._round_at = time.monotonic()
        except OvertakenError as error:
            log.info("another sink is ahead: %s", error)
            self._close()
            self._stop.wait(YIELD_S)
        except psycopg.Error as error:
            raise_if_auth_error(error)
            if not waitable(error):
                raise
            self._try_again(outage(error))
        except (UnavailableError, LostTailError) as error:
            self._try_again(str(error))

    def _try_again(self, why: str) -> None:
        self._close()
        if not self._stop.is_set():
            log.warning("%s", why)
            self._stop.wait(RETRY_S)

    def _close(self) -> None:
        if self._store is not None:
            self._left_behind = self._store.session
            self._store.close()
            self._store = None

    def _open(self) -> Store:
        if not self._migrated:
            require_migrated(self._database_url)
            self._migrated = True
        self._store = store = Store(self._database_url, self._silence_s_max)
        if self._left_behind is not None:
            store.end(self._left_behind)
            self._left_behind = None
        store.bind(self._source.identity)
        held = self._places(store.positions(self._source.topology.partitions))
        self._count_own_events(store, held)
        self._brokers_next = self._consumer.range(self._brokers).low
        self._read_brokers(store)
        self._stored = held
        self._filter = ExecutionFilter(held, log_unreadable)
        self._pending.clear()
        self._reached.clear()
        offsets = {Partition(self._executions, n): at.next_record for n, at in held.items()}
        self._consumer.assign(offsets | {self._brokers: self._brokers_next})
        log.info("following executions")
        return store

    def _places(self, stored: Mapping[int, FilterPosition]) -> dict[int, FilterPosition]:
        """The places from which the executions continue, which may have lost their tail since."""
        commands = self._source.topology.name(COMMANDS)
        found = {}
        # A second consumer, as for brokers.
        with closing(LogConsumer(self._source.kafka, AT_ONCE)) as consumer:
            for number, at in stored.items():
                where = Partition(self._executions, number), Partition(commands, number)
                try:
                    found[number] = placed(consumer, *where, at)
                except NoPlaceError as error:
                    raise ForeignDatabaseError(f"the database has stored {error}") from None
                if found[number] != at:
                    fields = {"partition": number, "next_command": at.next_command}
                    log.warning("stored outcomes are lost in the log", extra={"fields": fields})
                    if number in self._ends:
                        self._ends[number] = min(self._ends[number], self._end_now(number))
        return found

    def _count_own_events(self, store: Store, held: Mapping[int, FilterPosition]) -> None:
        for number, next_record in store.uncounted().items():
            partition = Partition(self._executions, number)
            low, end = self._consumer.range(partition)
            # A second consumer, as for brokers.
            with closing(LogConsumer(self._source.kafka, FETCH)) as consumer:
                messages = consumer.read(partition, low, end)
                numbers = counted(number, low, held[number].next_command, messages)
            store.count_anew(number, numbers, next_record)

    def _end_now(self, number: int) -> int:
        if number >= self._source.topology.partitions:
            return 0
        return self._consumer.range(Partition(self._executions, number)).end

    def _gather(self, store: Store) -> Rows:
        rows = Rows()
        brokers: list[Message] = []
        while rows.outcomes < OUTCOMES_MAX and not self._stop.is_set():
            if not self._pending:
                wait_s = 0.0 if rows.outcomes or brokers else POLL_S
                self._pending.extend(self._consumer.poll(RECORDS_MAX, wait_s))
                self._reached |= self._consumer.take_reached()
            if not self._pending:
                break
            message = self._pending.popleft()
            if message.topic() == self._executions:
                self._follow(message, rows)
            else:
                brokers.append(message)
        self._store_brokers(brokers, store)
        return rows

    def _ensure_brokers_known(self, traders: Iterable[str], store: Store) -> None:
        # A broker is registered before its first trade, but the topics may be read in another
        # order. An id that is still unknown then was not created by this exchange: no webhooks.
        if not self._known_brokers.issuperset(traders):
            self._read_brokers(store)
            self._known_brokers.update(traders)

    def _read_brokers(self, store: Store) -> None:
        end = self._consumer.range(self._brokers).end
        # A second consumer, because `read` reassigns its consumer: on the first one that would
        # lose positions and prefetched records of executions. Rare: a start, or a new broker.
        with closing(LogConsumer(self._source.kafka, FETCH)) as consumer:
            self._store_brokers(consumer.read(self._brokers, self._brokers_next, end), store)

    def _follow(self, message: Message, rows: Rows) -> None:
        number, record = record_partition(message), record_offset(message)
        batch = self._filter.accept(number, record, message.value())
        if batch is not None:
            rows.add(batch)

    def _store_brokers(self, messages: Iterable[Message], store: Store) -> None:
        brokers: dict[str, Broker] = {}
        records: dict[str, Message] = {}
        for message in messages:
            self._brokers_next = max(self._brokers_next, record_offset(message) + 1)
            key = message.key()
            try:
                broker_id = self._broker_records.apply(
                    key.encode() if isinstance(key, str) else key, message.value()
                )
            except UnreadableError as error:
                self._quarantine(store, message, str(error))
                continue
            broker = self._broker_records.get(broker_id)
            # The row of a deleted broker stays: its orders and trades still refer to it.
            if broker is None:
                self._with_webhook.discard(broker_id)
                continue
            brokers[broker.broker_id] = broker
            records[broker.broker_id] = message
            self._known_brokers.add(broker.broker_id)
            if broker.webhook_url is None:
                self._with_webhook.discard(broker.broker_id)
            else:
                self._with_webhook.add(broker.broker_id)
        if brokers:
            refused = store.upsert_brokers(list(brokers.values()))
            for broker_id, reason in refused.items():
                self._quarantine(store, records[broker_id], reason)
                self._with_webhook.discard(broker_id)
            SINK_ROWS.labels("brokers").inc(len(brokers) - len(refused))

    def _quarantine(self, store: Store, message: Message, reason: str) -> None:
        topic, item = message.topic() or "", f"{message.partition()}@{message.offset()}"
        fields = {"topic": topic, "record": item, "reason": reason}
        log.error("unreadable broker record", extra={"fields": fields})
        QUARANTINED.labels(topic).inc()
        store.quarantine(topic, item, reason)

    def _store_batch(self, store: Store, rows: Rows) -> None:
        moves = {}
        for number, at in self._stored.items():
            target = self._filter.position(number)
            if target.next_command != at.next_command:
                moves[number] = Move(at.next_command, target)
        if moves:
            queued = store.write(rows, moves, self._with_webhook)
            SINK_ROWS.labels("webhook_deliveries").inc(queued)
            self._stored |= {number: move.target for number, move in moves.items()}
            self._count(rows)
        self._note_ends()
        self._measure_lag(idle=not rows.outcomes)

    def _count(self, rows: Rows) -> None:
        SINK_ROWS.labels("orders").inc(len(rows.new) + len(rows.changed))
        SINK_ROWS.labels("trades").inc(len(rows.trades))
        if rows.newest_time is not None:
            SINK_BEHIND_SECONDS.set(max(0.0, time.time() - rows.newest_time / 1000))

    def _note_ends(self) -> None:
        for number, end in list(self._ends.items()):
            reached = 0
            if not self._pending:
                reached = self._reached.get(Partition(self._executions, number), 0)
            if max(self._filter.position(number).next_record, reached) >= end:
                del self._ends[number]

    def _measure_lag(self, *, idle: bool) -> None:
        # Only a broker that just sent something is polled again: waiting would delay the stop.
        if idle:
            for number in self._stored:
                LAG_RECORDS.labels(number).set(0)
            return
        if time.monotonic() < self._lag_at:
            return
        self._lag_at = time.monotonic() + LAG_INTERVAL_S
        for number in self._stored:
            try:
                end = self._end_now(number)
            except UnavailableError:
                # Only a metric: the next interval tries again.
                return
            LAG_RECORDS.labels(number).set(end - self._filter.position(number).next_record)

    def postgres(self) -> Check:
        """True if there is a connection that is not known to be lost."""
        connected = self._store is not None
        return Check(connected, "connected" if connected else "away, trying again")

    def storing(self) -> Check:
        """True if a round of gathering and storing ended a short time ago."""
        return check_age(self._round_at, ROUND_AGE_S_MAX, "round")

    def caught_up(self) -> Check:
        """True if everything that the log contained at the start is stored."""
        behind = len(self._ends)
        return Check(not behind, f"{behind} partitions are behind" if behind else "caught up")
