"""A matcher in steps: the product's claim, recovery, matching, claim watch and snapshots.

Between any two steps it can be frozen for any time, or killed; records it has sent may then still
arrive or be lost. Only the threads and Kafka are simulated.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from schemas.executions import RULES_LEVEL, LevelClaim, claim_offset
from schemas.quotas import Quotas
from schemas.topics import COMMANDS, EXECUTIONS
from services.matcher.claim import Logs, append_claim, take
from services.matcher.ownership import Ownership
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import LogTopics
from services.matcher.snapshot_writer import SnapshotWriter
from services.matcher.standby_partition import StandbyPartition
from services.runtime.errors import DeliveryError, SupersededError
from services.runtime.kafka.consumer import Partition
from tests.simulation.memory_log import FencedSender, MemoryLog, MemorySender

NUMBER: Final = 3
LOG: Final = LogTopics("", "simulated")
COMMAND_LOG: Final = LOG.partition(COMMANDS, NUMBER)
EXECUTION_LOG: Final = LOG.partition(EXECUTIONS, NUMBER)
# Half of the matchers set quotas, small ones and large ones.
_QUOTAS_SET: Final = 0.5
_QUOTAS: Final = (Quotas(5, 2, 3), Quotas(1_000, 1_000, 1_000))


class SnapshotRecords:
    """The snapshot topic, with the interface that `SnapshotWriter` needs."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.sender = MemorySender(log)

    def end(self, partition: Partition) -> int:
        return self._log.range(partition).end

    def send(self, partition: Partition, key: bytes, value: bytes) -> None:
        self.sender.send(partition.topic, partition.number, key, value)

    def settled(self) -> bool:
        return self.sender.settle(0)

    def append(self, partition: Partition, key: bytes, value: bytes) -> None:
        self._log.append(partition, value)


class SimulatedMatcher:
    """Claims at once, and takes over with its first step."""

    def __init__(
        self,
        log: MemoryLog,
        rng: random.Random,
        snapshot_interval: int,
        standby: StandbyPartition | None = None,
    ) -> None:
        self.log = log
        self.alive = True
        self._rng = rng
        # Weights of this matcher among all, and of each kind of step within it.
        self.speed = rng.choice((0.2, 1.0, 5.0))
        self._weights = [rng.choice((0.1, 1.0, 3.0)) for _ in range(5)]
        self._snapshot_interval = snapshot_interval
        self._standby = standby
        self._outcomes = MemorySender(log)
        claim = LevelClaim("simulated", RULES_LEVEL, log.new_nonce())
        self.epoch = append_claim(self._outcomes, log, EXECUTION_LOG, claim)
        self._public = FencedSender(log)
        self._snapshots = SnapshotRecords(log)
        self._publisher = OutcomePublisher("", self._outcomes, self._public)
        self._ownership = Ownership({NUMBER: self.epoch})
        self._watched = claim_offset(self.epoch) + 1
        self._cuts_before = log.cuts
        self._snapshot_writer = SnapshotWriter(LOG, self._ownership, self._snapshots)
        self._snapshot_steps: Iterator[None] | None = None
        self._matcher: PartitionMatcher | None = None
        self._set_quotas = False

    @property
    def senders(self) -> tuple[MemorySender, ...]:
        """The senders, whose records may still be in flight."""
        return self._outcomes, self._public, self._snapshots.sender

    def step(self) -> None:
        """Take over the partition if that is due, else do one random kind of work."""
        if self._matcher is None:
            self._public.open()
            logs = Logs(self.log, self.log)
            if self._standby is None:
                claimed = take(logs, LOG, NUMBER, self.epoch)
            else:
                claimed = self._standby.take_over(logs, LOG, self.epoch)
            self._matcher = PartitionMatcher(claimed, self._publisher)
            self._set_quotas = self._rng.random() < _QUOTAS_SET
            return
        steps: tuple[Callable[[PartitionMatcher], None], ...] = (
            self._match,
            self._deliver,
            self._watch,
            self._check,
            self._snapshot,
        )
        self._rng.choices(steps, self._weights)[0](self._matcher)

    @property
    def idle(self) -> bool:
        """True if every command is matched, every record delivered and every execution read."""
        return (
            self._matcher is not None
            and self._matcher.next_offset == self.log.range(COMMAND_LOG).end
            and not any(self.senders)
            and self._watched == self.log.range(EXECUTION_LOG).end
        )

    def _match(self, matcher: PartitionMatcher) -> None:
        at = matcher.next_offset
        end = min(at + self._rng.randint(1, 8), self.log.range(COMMAND_LOG).end)
        matcher.handle(list(self.log.read(COMMAND_LOG, at, end)))
        matcher.reached(end)
        matcher.tick_if_due(self.log.now_ms)
        if self._set_quotas and matcher.next_offset == self.log.range(COMMAND_LOG).end:
            self._set_quotas = False
            matcher.set_quotas_if_new(self._rng.choice(_QUOTAS))

    def _deliver(self, _: PartitionMatcher) -> None:
        try:
            for sender in self.senders:
                sender.deliver(self._rng.randint(0, 6))
        except DeliveryError:
            self.kill()

    def _watch(self, _: PartitionMatcher) -> None:
        if self.log.has_lost(EXECUTION_LOG, self._watched, self._cuts_before):
            self.kill()
            return
        end = min(self._watched + self._rng.randint(1, 20), self.log.range(EXECUTION_LOG).end)
        for record in self.log.read(EXECUTION_LOG, self._watched, end):
            self._ownership.observe(NUMBER, record.offset(), record.value())
        self._watched = max(end, self._watched)

    def _check(self, _: PartitionMatcher) -> None:
        try:
            self._ownership.check()
            self._publisher.check()
        except SupersededError:
            self.kill()

    def _snapshot(self, matcher: PartitionMatcher) -> None:
        if self._snapshot_steps is None:
            behind = self._ownership.behind_outcomes(NUMBER)
            if matcher.snapshot_due(self._snapshot_interval, behind) and self._publisher.settle():
                self._snapshot_steps = self._snapshot_writer.steps(
                    matcher.snapshot(LOG.topic_id, behind)
                )
            return
        for _ in range(self._rng.randint(1, 4)):
            if next(self._snapshot_steps, "done") == "done":
                self._snapshot_steps = None
                return

    def kill(self) -> None:
        """End the matcher; some of the records in flight arrive, the others are lost."""
        for sender in self.senders:
            with suppress(DeliveryError):
                sender.deliver(self._rng.choice((0, 0, 1, 5)))
            sender.drop()
        self.alive = False
