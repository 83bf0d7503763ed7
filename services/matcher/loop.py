"""The matcher's loop: claim, replay, then match what arrives until asked to stop or superseded."""

import logging
import time
from collections.abc import Mapping
from itertools import groupby
from operator import methodcaller

from schemas.topics import COMMANDS
from services.matcher.claim import ClaimWatch, claim
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import Publisher
from services.runtime.consumer import Fetch, LogConsumer, Partition
from services.runtime.health import Check, Health
from services.runtime.lifecycle import Stop
from services.runtime.metrics import OPEN_ORDERS
from services.runtime.settings import Settings

log = logging.getLogger(__name__)

RECORDS_MAX = 2_000
# The longest pause between two looks at the clock, at claims and at delivery errors.
WAIT_S = 0.02
PROGRESS_EVERY_S = 5.0


class MatcherLoop:
    """Owns its partitions from the claim to the stop."""

    def __init__(self, settings: Settings, prefix: str, matcher: str, health: Health) -> None:
        self._settings = settings
        self._prefix = prefix
        self._matcher = matcher
        # Commands left to replay by partition; None until the partitions are claimed.
        self._behind: dict[int, int] | None = None
        health.add("replay", self._replay_check)

    def run(self, partitions: list[int], stop: Stop) -> None:
        """Until `stop`. Raises SupersededError, DeliveryError, BrokenLogError, UnavailableError."""
        bootstrap = self._settings.kafka
        publisher = Publisher(self._settings, self._prefix)
        claims = [claim(bootstrap, self._prefix, p, self._matcher) for p in partitions]
        owned = {taken.partition: PartitionMatcher(taken, publisher) for taken in claims}
        watch = ClaimWatch(bootstrap, self._prefix, {c.partition: c.epoch for c in claims})
        consumer = LogConsumer(bootstrap, Fetch(self._settings.fetch_wait_ms))
        try:
            self._replay_from_start(consumer, owned)
            while not stop.is_set():
                self._match(consumer, owned)
                watch.check()
                publisher.check()
            publisher.flush()
        finally:
            watch.close()
            consumer.close()

    def _replay_from_start(
        self, consumer: LogConsumer, owned: Mapping[int, PartitionMatcher]
    ) -> None:
        topic = self._prefix + COMMANDS.name
        ranges = {number: consumer.range(Partition(topic, number)) for number in owned}
        for number, held in ranges.items():
            owned[number].next_offset = held.low
        consumer.assign({Partition(topic, number): held.low for number, held in ranges.items()})
        ends = {number: held.end for number, held in ranges.items()}
        told_at = time.monotonic()
        while self._note_progress(owned, ends):
            self._match(consumer, owned, tick=False)
            if time.monotonic() - told_at >= PROGRESS_EVERY_S:
                told_at = time.monotonic()
                log.info("replaying", extra={"fields": {"commands_left": self._behind}})
        log.info("replayed", extra={"fields": {"commands": ends}})

    def _note_progress(
        self, owned: Mapping[int, PartitionMatcher], ends: Mapping[int, int]
    ) -> bool:
        behind = {number: end - owned[number].next_offset for number, end in ends.items()}
        self._behind = {number: left for number, left in behind.items() if left > 0}
        return bool(self._behind)

    def _match(
        self, consumer: LogConsumer, owned: Mapping[int, PartitionMatcher], *, tick: bool = True
    ) -> None:
        messages = consumer.poll(RECORDS_MAX, WAIT_S)
        for number, run in groupby(messages, methodcaller("partition")):
            owned[number].handle(list(run))
        OPEN_ORDERS.set(sum(len(one.engine.open_orders) for one in owned.values()))
        if tick:
            now_ms = int(time.time() * 1000)
            for one in owned.values():
                one.tick_if_due(now_ms)

    def _replay_check(self) -> Check:
        if self._behind is None:
            return Check(ok=False, detail="claiming")
        left = sum(self._behind.values())
        return Check(ok=not left, detail=f"{left} commands left to replay")
