"""The matcher's loop: claim, recover, replay, then match until asked to stop or superseded."""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import methodcaller

from schemas.executions import NONCES, RULES_LEVEL, LevelClaim
from schemas.quotas import Quotas
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, TRADES, TRANSACTIONAL_ID
from services.matcher.claim import Claimed, Logs, append_claim, take
from services.matcher.ownership import ClaimWatch, Ownership
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import LogTopics
from services.matcher.snapshot_writer import SnapshotThread
from services.matcher.standby_partition import StandbyPartition
from services.runtime.clock import now_ms
from services.runtime.health import Check, Health
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import AT_ONCE, Fetch, LogConsumer
from services.runtime.kafka.producer import FailFastSender
from services.runtime.kafka.transactions import TransactionalSender
from services.runtime.lifecycle import Stop
from services.runtime.metrics import (
    LOG_CLOCK_AHEAD_SECONDS,
    OPEN_ORDERS,
    SNAPSHOT_PAUSE_SECONDS,
)
from services.runtime.settings import Settings

logger = logging.getLogger(__name__)

# Commands per round, between two checks of claims and of delivery errors.
RECORDS_MAX = 2_000
# The longest pause between two checks of claims and of delivery errors, and the longest between two
# checks of the clock while an order is due or soon will be.
WAIT_S = 0.1
WAIT_FOR_CLOCK_S = 0.02
# A round that took longer means a frozen process: others may have claimed its partitions.
FROZEN_S = 1.0
PROGRESS_EVERY_S = 5.0
# Avoids a division by zero.
_INSTANT_S = 0.001


def quotas_of(settings: Settings) -> Quotas:
    """The quotas that the settings contain."""
    return Quotas(settings.open_orders_max, settings.symbols_max, settings.client_order_ids_max)


class MatcherLoop:
    """Owns its partitions from the claim to the stop."""

    def __init__(self, settings: Settings, log: LogTopics, matcher: str, health: Health) -> None:
        self._settings = settings
        self._log = log
        self._claim_record = LevelClaim(matcher, RULES_LEVEL, 1 + secrets.randbelow(NONCES - 1))
        # Commands left to replay; None until the partitions are claimed and recovered.
        self._left: int | None = None
        self._per_s = 0.0
        self._awake_at = time.monotonic()
        health.add("replay", self._replay_check)

    def run(
        self,
        partitions: list[int],
        stop: Stop,
        followed: Mapping[int, StandbyPartition] | None = None,
    ) -> None:
        """Match until `stop`, starting from snapshots or from the engines of a standby.

        Raises SupersededError, DeliveryError, BrokenLogError, UnavailableError.
        """
        kafka = kafka_access(self._settings)
        publisher = OutcomePublisher(
            self._log.prefix,
            outcomes := FailFastSender(kafka, linger_ms=self._settings.linger_ms),
            public := TransactionalSender(
                kafka,
                self._log.prefix + TRANSACTIONAL_ID,
                interval_ms=self._settings.linger_public_ms,
            ),
        )
        quotas = quotas_of(self._settings)
        claims = self._claim(partitions, followed or {}, outcomes, public)
        owned = {taken.partition: PartitionMatcher(taken, publisher) for taken in claims}
        watch = ClaimWatch(kafka, self._log, {c.partition: c.epoch for c in claims})
        snapshot_writer = SnapshotThread(kafka, self._log, watch.ownership)
        consumer = LogConsumer(kafka, AT_ONCE)
        try:
            self._replay(consumer, owned, watch)
            for one in owned.values():
                one.set_quotas_if_new(quotas)
            while not stop.is_set():
                self._match(consumer, owned, watch)
                watch.check()
                publisher.check()
                self._save_where_due(owned.values(), publisher, watch.ownership, snapshot_writer)
            # Before the flush, which waits for a topic that may be gone.
            stop.raise_failure()
            publisher.flush()
        finally:
            snapshot_writer.close()
            public.close()
            watch.close()
            consumer.close()

    def _claim(
        self,
        partitions: list[int],
        followed: Mapping[int, StandbyPartition],
        outcomes: FailFastSender,
        public: TransactionalSender,
    ) -> list[Claimed]:
        kafka = kafka_access(self._settings)
        uncommitted = LogConsumer(kafka, Fetch(wait_ms=50))
        committed = LogConsumer(kafka, Fetch(wait_ms=50), committed=True)
        logs = Logs(uncommitted, committed)
        try:
            claims = []
            for number in partitions:
                executions = self._log.partition(EXECUTIONS, number)
                epoch = append_claim(outcomes, uncommitted, executions, self._claim_record)
                # Before the published positions are read: from here on no one else publishes.
                topics = [self._log.partition(topic, number).topic for topic in (TRADES, BOOK)]
                public.open(number, topics)
                standby = followed.get(number)
                claims.append(
                    take(logs, self._log, number, epoch)
                    if standby is None
                    else standby.take_over(logs, self._log, epoch)
                )
            return claims
        finally:
            uncommitted.close()
            committed.close()

    def _replay(
        self, consumer: LogConsumer, owned: Mapping[int, PartitionMatcher], watch: ClaimWatch
    ) -> None:
        """Commands between each partition's recovered position and the present end of its log."""
        where = {number: self._log.partition(COMMANDS, number) for number in owned}
        ends = {number: consumer.range(partition).end for number, partition in where.items()}
        consumer.assign({where[number]: one.next_offset for number, one in owned.items()})
        started_at = logged_at = time.monotonic()
        cpu_started_s = time.process_time()
        total = self._note_progress(owned, ends)
        while left := self._note_progress(owned, ends):
            self._match(consumer, owned, watch, tick=False)
            now = time.monotonic()
            self._per_s = (total - left) / max(now - started_at, _INSTANT_S)
            if now - logged_at >= PROGRESS_EVERY_S:
                logged_at = now
                logger.info("replaying", extra={"fields": {"progress": self._progress()}})
        fields = {
            "commands": total,
            "seconds": round(time.monotonic() - started_at, 3),
            "cpu_seconds": round(time.process_time() - cpu_started_s, 3),
        }
        logger.info("replayed", extra={"fields": fields})

    def _save_where_due(
        self,
        owned: Iterable[PartitionMatcher],
        publisher: OutcomePublisher,
        ownership: Ownership,
        snapshot_writer: SnapshotThread,
    ) -> None:
        every = self._settings.snapshot_every
        for one in owned:
            number = one.engine.partition
            behind = ownership.behind_outcomes(number)
            if not one.snapshot_due(every, behind) or snapshot_writer.busy(number):
                continue
            with SNAPSHOT_PAUSE_SECONDS.time():
                if publisher.settle():
                    snapshot_writer.hand_over(one.snapshot(self._log.topic_id, behind))

    def _note_progress(self, owned: Mapping[int, PartitionMatcher], ends: Mapping[int, int]) -> int:
        self._left = sum(max(0, end - owned[number].next_offset) for number, end in ends.items())
        return self._left

    def _progress(self) -> str:
        if not self._left or not self._per_s:
            return f"{self._left} commands left to replay"
        seconds = self._left / self._per_s
        return f"{self._left} commands left to replay, {self._per_s:,.0f}/s, {seconds:,.0f} s to go"

    def _match(
        self,
        consumer: LogConsumer,
        owned: Mapping[int, PartitionMatcher],
        watch: ClaimWatch,
        *,
        tick: bool = True,
    ) -> None:
        messages = consumer.poll(RECORDS_MAX, _wait_s(owned.values()) if tick else WAIT_S)
        if time.monotonic() - self._awake_at > FROZEN_S:
            watch.confirm(consumer)
        self._awake_at = time.monotonic()
        received_ms = now_ms()
        ahead_ms = self._settings.clock_ahead_ms_max
        latest_ms = received_ms + ahead_ms if ahead_ms else None
        if len(owned) == 1:
            for one in owned.values():
                one.handle(messages, latest_ms)
        else:
            for number, run in groupby(messages, methodcaller("partition")):
                owned[number].handle(list(run), latest_ms)
        for partition, end in consumer.take_reached().items():
            owned[partition.number].reached(end)
        OPEN_ORDERS.set(sum(len(one.engine.open_orders) for one in owned.values()))
        clock = max(one.engine.clock for one in owned.values())
        LOG_CLOCK_AHEAD_SECONDS.set(max(0, clock - received_ms) / 1000)
        if tick:
            for one in owned.values():
                one.tick_if_due(now_ms())

    def _replay_check(self) -> Check:
        if self._left is None:
            return Check(ok=False, detail="claiming")
        return Check(ok=not self._left, detail=self._progress())


def _wait_s(owned: Iterable[PartitionMatcher]) -> float:
    """The longest wait for commands, in seconds."""
    soon_ms = now_ms() + int(1000 * WAIT_S)
    return WAIT_FOR_CLOCK_S if any(one.due_by(soon_ms) for one in owned) else WAIT_S
