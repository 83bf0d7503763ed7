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
from schemas.executions import CommandRefused, Outcome, claim_offset
from schemas.quotas import Quotas
from schemas.snapshots import Published, PublishedPosition
from services.matcher.claim import Claimed
from services.matcher.engine import EnginePosition
from services.matcher.gaps import AbsentRecord, CommandRecord, absent_offsets, without_gaps
from services.matcher.market_data import book_updates, trades_of
from services.matcher.publish import OutcomePublisher
from services.matcher.snapshot import SnapshotImage, SnapshotPosition, save
from services.runtime.errors import ClockAheadError
from services.runtime.kafka.records import record_offset
from services.runtime.metrics import COMMANDS, REFUSALS
from services.runtime.settings import variable

log = logging.getLogger(__name__)

# A due order waits this long for a command to expire it before a tick is sent: in a busy market
# the next order advances the clock.
TICK_GRACE_MS = 20
# A tick that is not read back after this long is sent once more; duplicates are harmless. A tick
# that was read back and did not expire the order came too early by the log's clock: the next one
# waits for the remaining time. Otherwise a clock ahead of the broker's would fill the log. While
# ticks do not move the log's clock at all (a new leader's clock is behind), each waits twice as
# long as the one before, up to this long.
TICK_REPEAT_MS = 1_000
# A partition without commands gets a tick this often. A broker forgets a producer that is silent
# for a day, and without its memory it would not refuse outcomes after a power cut that took those
# before them.
QUIET_MS_MAX = 12 * 3_600_000


class PartitionMatcher:
    """The engine of one partition and its position in the command log."""

    def __init__(self, claimed: Claimed, publisher: OutcomePublisher) -> None:
        self.engine = claimed.recovered.engine
        self.next_offset = claimed.recovered.position.next_command
        self._saved_before = self.next_offset
        self._claimed = claimed
        self._trades, self._book = claimed.trades, claimed.book
        self._publisher = publisher
        self._ticked_due_ms: int | None = None
        self._tick_sent_ms = 0
        self._tick_seen = False
        self._tick_clock = 0
        self._tick_wait_ms = 0
        self._quiet_offset, self._quiet_since_ms = -1, 0

    def handle(self, messages: Sequence[CommandRecord], latest_ms: int | None = None) -> None:
        """Apply commands in log order and publish outcomes that are not published yet.

        Raises BrokenLogError if commands are missing, ClockAheadError if a command without a
        published outcome is later than `latest_ms`.
        """
        claimed, apply = self._claimed, self.engine.apply
        partition, next_command = claimed.partition, claimed.next_command
        # A replay makes no public records before the first one that is not published yet.
        first_public = min(claimed.trades.command_offset, claimed.book.command_offset)
        first_unsent, unsent = 0, list[Outcome]()
        for message in without_gaps(messages, self.next_offset):
            offset, (_, timestamp) = record_offset(message), message.timestamp()
            if latest_ms is not None and timestamp > latest_ms:
                self._refuse_future(offset, timestamp, latest_ms)
            self.next_offset = offset + 1
            at = EnginePosition(partition, offset, timestamp)
            outcome = apply(command_of(message, at), at)
            if offset >= next_command:
                if not unsent:
                    first_unsent = offset
                unsent.append(outcome)
            if offset >= first_public:
                self._publish_market_data(outcome, at)
        if unsent:
            self._publisher.outcomes(partition, claimed.epoch, first_unsent, unsent)
            self._tick_seen = True
            _count(unsent)

    def _refuse_future(self, offset: int, timestamp: int, latest_ms: int) -> None:
        # An outcome that is published is a fact already, and a restart must pass it.
        if offset < self._claimed.next_command:
            return
        raise ClockAheadError(
            f"command {offset} of partition {self._claimed.partition} has a timestamp "
            f"{(timestamp - latest_ms) / 1000:,.3f} s later than {variable('clock_ahead_ms_max')} "
            "allows by this machine's clock; its outcome is not published. Correct the clock of "
            "Kafka's machine or of this one, or raise the setting to accept the time for good"
        )

    def reached(self, end: int) -> None:
        """Refuse the offsets before `end`, which hold no record: the log was read to there."""
        if end > self.next_offset:
            self.handle(list(map(AbsentRecord, absent_offsets(self.next_offset, end))))

    def _publish_market_data(self, outcome: Outcome, at: EnginePosition) -> None:
        partition, offset = self._claimed.partition, at.offset
        trades, book = self._claimed.trades, self._claimed.book
        if offset >= trades.command_offset:
            for trade in trades_of(outcome, at):
                if offset > trades.command_offset or trade.index > trades.index:
                    self._publisher.trade(partition, trade)
                    self._trades = PublishedPosition(offset, trade.index)
        if offset >= book.command_offset and self.engine.changed:
            for update in book_updates(outcome, at, self.engine):
                if offset > book.command_offset or update.index > book.index:
                    self._publisher.book_update(partition, update)
                    self._book = PublishedPosition(offset, update.index)

    def snapshot_due(self, every: int, behind: int | None) -> bool:
        """True if `every` commands with published outcomes were applied since the last snapshot.

        `behind`: see `snapshot`. Not due while own outcomes were published and none was read back.
        """
        ahead = self.next_offset - self._claimed.next_command
        if ahead < 0 or (ahead and behind is None):
            return False
        return every > 0 and self.next_offset - self._saved_before >= every

    def snapshot(self, log: str, behind: int | None) -> SnapshotImage:
        """Capture the state. Every output so far has been acknowledged.

        `behind`: the execution record behind own outcomes, with no newer claim before it, or None
        before any. It may precede the last outcomes, which readers then drop as duplicates. A
        matcher that restores the snapshot looks for the outcomes before it: if a power cut has
        taken them, the snapshot is not usable.
        """
        self._saved_before = self.next_offset
        published = Published(self._trades, self._book)
        next_record = claim_offset(self._claimed.epoch) + 1 if behind is None else behind
        place = (log, self._claimed.epoch, self.next_offset, next_record, published)
        return save(self.engine, SnapshotPosition(*place))

    def set_quotas_if_new(self, quotas: Quotas) -> None:
        """Append the quotas, if those of the command log differ. Call it once, after the replay."""
        if self.engine.quotas != quotas:
            self._publisher.set_quotas(self._claimed.partition, quotas)

    def due_by(self, time_ms: int) -> bool:
        """True if an order is due by then."""
        due = self.engine.next_due()
        return due is not None and due <= time_ms

    def tick_if_due(self, now_ms: int) -> None:
        """Send a tick if an order is due and no command has expired it, or after a long silence."""
        if self.next_offset != self._quiet_offset:
            self._quiet_offset, self._quiet_since_ms = self.next_offset, now_ms
        elif now_ms - self._quiet_since_ms >= QUIET_MS_MAX:
            self._quiet_since_ms = now_ms
            self._publisher.tick(self._claimed.partition)
        due = self.engine.next_due()
        if due is None or now_ms < due + TICK_GRACE_MS:
            return
        stuck = self._tick_seen and self.engine.clock <= self._tick_clock
        wait_ms = self._tick_wait_ms if stuck else 0
        if due == self._ticked_due_ms:
            again_ms = due - self.engine.clock if self._tick_seen else TICK_REPEAT_MS
            wait_ms = max(wait_ms, again_ms)
        # `abs`, because the wall clock may have been set back.
        if abs(now_ms - self._tick_sent_ms) < wait_ms:
            return
        self._tick_wait_ms = min(2 * self._tick_wait_ms, TICK_REPEAT_MS) if stuck else TICK_GRACE_MS
        self._ticked_due_ms, self._tick_sent_ms, self._tick_seen = due, now_ms, False
        self._tick_clock = self.engine.clock
        self._publisher.tick(self._claimed.partition)


def _count(outcomes: Sequence[Outcome]) -> None:
    """Add outcomes to the metrics, in one step for each kind."""
    events = [outcome.event for outcome in outcomes]
    kinds = Counter(map(type, events))
    for kind, count in kinds.items():
        COMMANDS.labels(kind.__name__).inc(count)
    if CommandRefused in kinds:
        codes = Counter(event.code for event in events if isinstance(event, CommandRefused))
        for code, count in codes.items():
            REFUSALS.labels(code).inc(count)


def command_of(message: CommandRecord, at: EnginePosition) -> Command | None:
    """Decode a command; for an unreadable or absent one, log the reason and return None."""
    if type(message) is AbsentRecord:
        where = {"partition": at.partition, "offset": at.offset}
        log.warning("no record at this offset, refused", extra={"fields": where})
        return None
    try:
        return decode_command(message.value())
    except UnreadableError as error:
        fields = {"partition": at.partition, "offset": at.offset, "reason": str(error)}
        log.warning("unreadable command, refused", extra={"fields": fields})
        return None
