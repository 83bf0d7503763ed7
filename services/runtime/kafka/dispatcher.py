"""Dispatches one consumer's records by topic: executions, brokers, listings.

Used by every half of the API. Executions pass the filter once and go to the listeners in order, so
that views are up to date before any waiting request is answered.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from confluent_kafka import Message
from msgspec import Struct

from schemas.executions import Outcome, claim_offset
from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, LISTINGS
from schemas.topology import Topology
from services.runtime.kafka.async_consumer import AsyncConsumer
from services.runtime.kafka.consumer import LogConsumer, Partition, Range
from services.runtime.kafka.execution_filter import (
    NO_EPOCH,
    Batch,
    ExecutionFilter,
    FilterPosition,
)
from services.runtime.kafka.execution_place import placed
from services.runtime.kafka.recent_outcomes import outcomes_before
from services.runtime.kafka.records import record_offset, record_partition
from services.runtime.kafka.unreadable import log_unreadable

OnBatch = Callable[[Batch], None]
# Key and value of one record.
OnRecord = Callable[[bytes | None, bytes | None], None]

_BEGINNING: Mapping[int, FilterPosition] = MappingProxyType({})
_NO_CLAIMS: Mapping[int, bytes | None] = MappingProxyType({})


class Ranges(Struct, frozen=True):
    """Offsets held at one moment: executions by partition, and the other topics read."""

    executions: Sequence[Range]
    others: Mapping[Partition, Range]


class TopicDispatcher:
    """Reads from the beginning or from given positions, then follows. Lives on the loop's thread.

    `on_broker` and `on_listing` get each record of their topics. `failed` is called once, when the
    log cannot be read or followed.
    """

    def __init__(
        self,
        consumer: LogConsumer,
        topology: Topology,
        *,
        on_broker: OnRecord,
        on_listing: OnRecord,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._consumer = consumer
        self._executions = topology.name(EXECUTIONS)
        self._commands = topology.name(COMMANDS)
        self._brokers = topology.name(BROKERS)
        self._listings = topology.name(LISTINGS)
        self._partitions = range(topology.partitions_of(EXECUTIONS))
        self._on_batch: tuple[OnBatch, ...] = ()
        self._singly: tuple[Callable[[], bool], ...] = ()
        self._at_end: tuple[Callable[[], None], ...] = ()
        self._on_broker = on_broker
        self._on_listing = on_listing
        self._beginning = dict.fromkeys(self._partitions, FilterPosition())
        self._filter = ExecutionFilter(self._beginning, log_unreadable)
        self._feed = AsyncConsumer(consumer, self.deliver, failed)
        self._asking = threading.Lock()
        # The offset behind the last broker that was applied.
        self._brokers_next = 0

    def subscribe(
        self,
        *,
        on_batch: OnBatch,
        singly: Callable[[], bool] = lambda: False,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        """Deliver the outcomes that count to `on_batch`, after those who subscribed before.

        `singly`: while it returns True, each outcome is a batch of its own, to all. `at_end`: runs
        behind each list of records.
        """
        self._on_batch += (on_batch,)
        self._singly += (singly,)
        self._at_end += () if at_end is None else (at_end,)

    def ranges(self) -> Ranges:
        """Offsets that the topics hold now. Blocks for the broker's answer, on any thread.

        Raises UnavailableError.
        """
        others = [self._brokers, self._listings]
        with self._asking:
            return Ranges(
                [self._consumer.range(Partition(self._executions, p)) for p in self._partitions],
                {Partition(name, 0): self._consumer.range(Partition(name, 0)) for name in others},
            )

    def places(self, positions: Mapping[int, FilterPosition]) -> dict[int, FilterPosition]:
        """The places from which the executions continue: see `placed`.

        Blocks, on any thread, and only before the start. Raises UnavailableError, NoPlaceError.
        """
        with self._asking:
            return {
                number: placed(
                    self._consumer,
                    Partition(self._executions, number),
                    Partition(self._commands, number),
                    at,
                )
                for number, at in positions.items()
            }

    def claims(self, positions: Mapping[int, FilterPosition]) -> dict[int, bytes | None]:
        """The claim of each place's epoch, a record before the place; None if it was trimmed.
        Blocks, on any thread, and only before the start. Raises UnavailableError, BrokenLogError.
        """
        found: dict[int, bytes | None] = {}
        with self._asking:
            for number, at in positions.items():
                partition = Partition(self._executions, number)
                if at.epoch == NO_EPOCH:
                    continue
                found[number] = None
                claim = claim_offset(at.epoch)
                if claim < self._consumer.range(partition).low:
                    continue
                for message in self._consumer.read(partition, claim, claim + 1):
                    found[number] = message.value()
        return found

    def outcomes_before(
        self, positions: Mapping[int, FilterPosition], age_ms_max: int, outcomes_max: int
    ) -> dict[int, tuple[int, list[Outcome]]]:
        """The outcomes right before each position, without a gap, and the command of the first.

        Of each partition those that are not older than the newest by `age_ms_max`, about
        `outcomes_max` at most. Blocks, on any thread, and only before the start. Raises
        UnavailableError, BrokenLogError.
        """
        with self._asking:
            return {
                number: outcomes_before(
                    self._consumer,
                    Partition(self._executions, number),
                    at,
                    age_ms_max,
                    outcomes_max,
                )
                for number, at in positions.items()
            }

    def rules_level(self, partition: int) -> int:
        """The level of the rules that the partition's matcher follows; 0: no claim was seen."""
        return self._filter.rules_level(partition)

    def claim(self, partition: int) -> tuple[str, int] | None:
        """Name of the matcher that holds the partition, and the offset of its claim, if known."""
        return self._filter.claim(partition)

    def start(
        self,
        held: Ranges,
        positions: Mapping[int, FilterPosition] = _BEGINNING,
        claims: Mapping[int, bytes | None] = _NO_CLAIMS,
    ) -> None:
        """Begin reading, executions from `positions` on, whose `claims` came before.

        `held`: the present `ranges`. Raises BrokenLogError if a claim needs a newer version.
        """
        ranges = {Partition(self._executions, p): held.executions[p] for p in self._partitions}
        ranges |= held.others
        offsets = {partition: range_.low for partition, range_ in ranges.items()}
        for number, at in positions.items():
            offsets[Partition(self._executions, number)] = at.next_record
        lost = {number: held.executions[number].low for number in self._partitions}
        self._filter = ExecutionFilter(
            {**self._beginning, **positions},
            log_unreadable,
            {number: low for number, low in lost.items() if number not in positions},
        )
        for number, claim in claims.items():
            self._filter.claim_before(number, claim)
        self._feed.start(offsets, {partition: range_.end for partition, range_ in ranges.items()})

    def caught_up(self) -> bool:
        """True if everything that the log contained at the start was delivered."""
        return self._feed.caught_up.is_set()

    async def wait_caught_up(self) -> None:
        """Wait until `caught_up`."""
        await self._feed.caught_up.wait()

    def brokers_applied(self, end: int) -> bool:
        """True if every record of the brokers topic below `end` was applied."""
        # Records show it in a busy topic; the last offset of a quiet one may hold a marker.
        partition = Partition(self._brokers, 0)
        return self._brokers_next >= end or self._feed.has_processed(partition, end)

    def deliver(self, messages: list[Message]) -> None:
        """Dispatch one list of records. Raises BrokenLogError."""
        executions = self._executions
        accept = self._filter.accept
        for message in messages:
            topic = message.topic()
            if topic == executions:
                batch = accept(record_partition(message), record_offset(message), message.value())
                if batch is not None:
                    self._deliver(batch)
            elif topic == self._brokers:
                self._on_broker(_raw(message.key()), message.value())
                self._brokers_next = record_offset(message) + 1
            else:
                self._on_listing(_raw(message.key()), message.value())

        for at_end in self._at_end:
            at_end()

    def _deliver(self, batch: Batch) -> None:
        is_divided = any(singly() for singly in self._singly)
        for part in batch.singly() if is_divided else (batch,):
            for on_batch in self._on_batch:
                on_batch(part)

    def stop(self) -> None:
        """Stop reading and close the consumer, which no other thread may be using then."""
        with self._asking:
            self._feed.stop()


def _raw(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key
