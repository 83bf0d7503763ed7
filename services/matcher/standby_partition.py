"""One partition of a standby: an engine in memory that lags slightly behind the active matcher.

1. It applies commands whose outcomes are published, except the last `LAG_COMMANDS`: the active
   matcher may have published those outcomes and not yet their trades and book changes.
2. It takes over on request, or when commands wait and no outcome is published for some time.
   Outcomes are the heartbeat of the active matcher; without waiting commands none is expected.
3. Then it claims. The engine is dropped if a command that it has applied lacks public records,
   or if the executions have lost their tail. Then recovery starts from a snapshot, as for any
   matcher.
"""

from collections import deque

from schemas.executions import claim_offset
from schemas.outcome_steps import trades_of
from schemas.snapshots import Published, PublishedPosition
from schemas.topics import EXECUTIONS
from services.matcher.claim import Claimed, Logs, claimed, published_up_to, take
from services.matcher.engine import EnginePosition
from services.matcher.gaps import AbsentRecord, CommandRecord, absent_offsets
from services.matcher.partition import command_of
from services.matcher.recovery import LogTopics, Recovered
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.execution_place import leads_to
from services.runtime.kafka.reading import StoredRecord
from services.runtime.kafka.records import record_offset
from services.runtime.kafka.unreadable import log_unreadable

# Far more commands than a matcher's public records can lag behind within their linger, and
# applied in a moment.
LAG_COMMANDS = 2_000


class StandbyPartition:
    """One partition, starting from the state that `recover` found."""

    def __init__(
        self, partition: int, recovered: Recovered, lag_commands: int = LAG_COMMANDS
    ) -> None:
        self.partition = partition
        self.engine = recovered.engine
        self.next_offset = recovered.position.next_command
        self._lag = lag_commands
        self._filter = ExecutionFilter({partition: recovered.position}, log_unreadable)
        self._waiting: deque[CommandRecord] = deque()
        self._trades = recovered.published.trades
        self._book = recovered.published.book
        self._silent_since_s: float | None = None

    @property
    def position(self) -> FilterPosition:
        """The position up to which executions were read."""
        return self._filter.position(self.partition)

    @property
    def read_to(self) -> int:
        """The offset of the next command to read."""
        return self.next_offset + len(self._waiting)

    def command(self, record: CommandRecord) -> None:
        """Add the next record of the command log. Raises BrokenLogError."""
        self.reached(record_offset(record))
        self._waiting.append(record)

    def reached(self, end: int) -> None:
        """Add the offsets before `end` that hold no record. Raises BrokenLogError."""
        self._waiting.extend(map(AbsentRecord, absent_offsets(self.read_to, end)))

    def execution(self, record: StoredRecord) -> None:
        """Add the next record of executions. Raises BrokenLogError."""
        before = self.position.next_command
        self._filter.accept(self.partition, record_offset(record), record.value())
        if self.position.next_command > before:
            self._silent_since_s = None

    def catch_up(self) -> None:
        """Apply commands whose outcomes lie at least `LAG_COMMANDS` back."""
        until = min(self.position.next_command - self._lag, self.read_to)
        while self.next_offset < until:
            self._apply(self._waiting.popleft())

    def _apply(self, record: CommandRecord) -> None:
        at = EnginePosition(self.partition, self.next_offset, record.timestamp()[1])
        outcome = self.engine.apply(command_of(record, at), at)
        if trades := trades_of(outcome):
            self._trades = PublishedPosition(at.offset, len(trades) - 1)
        if self.engine.changed:
            self._book = PublishedPosition(at.offset, len(self.engine.changed) - 1)
        self.next_offset += 1

    def silent_s(self, now_s: float) -> float:
        """Seconds for which commands have waited without an outcome; 0.0 if none waits."""
        if self.read_to <= self.position.next_command:
            self._silent_since_s = None
            return 0.0
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        return now_s - self._silent_since_s

    def take_over(self, logs: Logs, log: LogTopics, epoch: int) -> Claimed:
        """Become the matcher of this claim. Raises BrokenLogError, UnavailableError."""
        published = published_up_to(logs.committed, log, self.partition)
        executions = log.partition(EXECUTIONS, self.partition)
        if not (
            published.covers(Published(self._trades, self._book))
            and leads_to(logs.uncommitted, executions, self.position, claim_offset(epoch))
        ):
            return take(logs, log, self.partition, epoch)
        recovered = Recovered(self.engine, FilterPosition(next_command=self.next_offset))
        return claimed(logs, log, epoch, recovered, self.position, published)
