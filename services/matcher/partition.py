"""One claimed partition: reads commands, publishes each outcome and public record once.

1. Replay from the recovered position: commands below `next_command` already have outcomes in the
   topic; they are applied, and nothing is sent.
2. Live: later outcomes are sent with our epoch, in runs of consecutive commands.
3. Public records have separate published positions, so a restart neither repeats nor skips one.
"""

import logging
from collections import Counter
from collections.abc import Sequence

from schemas.codec import UnreadableError, decode_command
from schemas.commands import Command
from schemas.executions import Outcome
from services.matcher.claim import Claimed, PublishedPosition
from services.matcher.engine import EnginePosition
from services.matcher.gaps import AbsentRecord, CommandRecord, absent_offsets, without_gaps
from services.matcher.market_data import book_updates, trades_of
from services.matcher.publish import OutcomePublisher
from services.matcher.snapshot import SnapshotImage, SnapshotPosition, save
from services.runtime.metrics import COMMANDS

log = logging.getLogger(__name__)

# A due order waits this long for a command to expire it before a tick is sent: in a busy market
# the next order advances the clock.
TICK_GRACE_MS = 20
# A tick that is not read back after this long is sent once more; duplicates are harmless. A tick
# that was read back and did not expire the order came too early by the log's clock: the next one
# waits for the remaining time. Otherwise a clock ahead of the broker's would fill the log.
TICK_REPEAT_MS = 1_000


class PartitionMatcher:
    """The engine of one partition and its position in the command log."""

    def __init__(self, claimed: Claimed, publisher: OutcomePublisher) -> None:
        self.engine = claimed.recovered.engine
        self.next_offset = claimed.recovered.position.next_command
        self._saved_before = self.next_offset
        self._claimed = claimed
        self._publisher = publisher
        self._ticked_due_ms: int | None = None
        self._tick_sent_ms = 0
        self._tick_seen = False

    def handle(self, messages: Sequence[CommandRecord]) -> None:
        """Apply commands in log order and publish outcomes that are not published yet.

        Raises BrokenLogError if commands are missing.
        """
        first_unsent, unsent = 0, list[Outcome]()
        for message in without_gaps(messages, self.next_offset):
            offset, (_, timestamp) = message.offset() or 0, message.timestamp()
            self.next_offset = offset + 1
            at = EnginePosition(self._claimed.partition, offset, timestamp)
            outcome = self.engine.apply(command_of(message, at), at)
            if offset >= self._claimed.next_command:
                if not unsent:
                    first_unsent = offset
                unsent.append(outcome)
            self._publish_market_data(outcome, at)
        if unsent:
            self._publisher.outcomes(
                self._claimed.partition, self._claimed.epoch, first_unsent, unsent
            )
            self._tick_seen = True
            for kind, count in Counter(type(each.event).__name__ for each in unsent).items():
                COMMANDS.labels(kind).inc(count)

    def reached(self, end: int) -> None:
        """Refuse the offsets before `end`, which hold no record: the log was read to there."""
        if end > self.next_offset:
            self.handle(list(map(AbsentRecord, absent_offsets(self.next_offset, end))))

    def _publish_market_data(self, outcome: Outcome, at: EnginePosition) -> None:
        partition = self._claimed.partition
        trades, book = self._claimed.trades, self._claimed.book
        if at.offset >= trades.command_offset:
            for trade in trades_of(outcome, at):
                if PublishedPosition(trade.command_offset, trade.index) > trades:
                    self._publisher.trade(partition, trade)
        if at.offset >= book.command_offset:
            for update in book_updates(outcome, at, self.engine):
                if PublishedPosition(update.command_offset, update.index) > book:
                    self._publisher.book_update(partition, update)

    def snapshot_due(self, every: int) -> bool:
        """True if `every` commands with published outcomes were applied since the last snapshot."""
        published = self.next_offset >= self._claimed.next_command
        return published and every > 0 and self.next_offset - self._saved_before >= every

    def snapshot(self, log: str, next_record: int) -> SnapshotImage:
        """Capture the state. Every output so far has been acknowledged.

        `next_record`: an execution record with no newer claim before it. It may precede the last
        outcomes, which readers then drop as duplicates, but not follow the next one.
        """
        self._saved_before = self.next_offset
        return save(
            self.engine, SnapshotPosition(log, self._claimed.epoch, self.next_offset, next_record)
        )

    def tick_if_due(self, now_ms: int) -> None:
        """Send a tick if an order is due and no command has expired it."""
        due = self.engine.next_expiry()
        if due is None or now_ms < due + TICK_GRACE_MS:
            return
        if due == self._ticked_due_ms:
            wait_ms = due - self.engine.clock if self._tick_seen else TICK_REPEAT_MS
            # `abs`, because the wall clock may have been set back.
            if abs(now_ms - self._tick_sent_ms) < wait_ms:
                return
        self._ticked_due_ms, self._tick_sent_ms, self._tick_seen = due, now_ms, False
        self._publisher.tick(self._claimed.partition)


def command_of(message: CommandRecord, at: EnginePosition) -> Command | None:
    """Decode a command; for an unreadable or absent one, log the reason and return None."""
    if isinstance(message, AbsentRecord):
        where = {"partition": at.partition, "offset": at.offset}
        log.warning("no record at this offset, refused", extra={"fields": where})
        return None
    try:
        return decode_command(message.value())
    except UnreadableError as error:
        fields = {"partition": at.partition, "offset": at.offset, "reason": str(error)}
        log.warning("unreadable command, refused", extra={"fields": fields})
        return None
