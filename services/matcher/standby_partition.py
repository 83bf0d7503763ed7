"""Following a partition in memory, ready to take it over: an engine that lags a little behind.

1. It applies commands whose outcomes were told, but for the last `LAG_COMMANDS` of them: the active
   matcher may have told those outcomes and not yet the trades and books that go with them.
2. It takes over when asked to, or when commands wait and no outcome comes for some time. That is
   the active one's heartbeat: in a market where nothing waits nobody is missed.
3. Then it claims. What it has applied must be told on the public topics to the end; if it is not,
   the engine is dropped, and it starts as any matcher does, from a snapshot.
"""

from collections import deque

from schemas.executions import OrderAccepted
from services.matcher.claim import Claimed, PublishedPosition, claimed, take
from services.matcher.engine import EnginePosition
from services.matcher.partition import CommandRecord, command_of
from services.matcher.recovery import Log, Reading, Record, Recovered
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition

# Far more than a matcher leaves untold on its public topics within their linger, and applied in a
# moment.
LAG_COMMANDS = 2_000


class StandbyPartition:
    """One partition, from where `recover` found it."""

    def __init__(
        self, partition: int, recovered: Recovered, lag_commands: int = LAG_COMMANDS
    ) -> None:
        self.partition = partition
        self.engine = recovered.engine
        self.next_offset = recovered.position.next_command
        self._lag = lag_commands
        self._filter = ExecutionFilter({partition: recovered.position})
        self._waiting: deque[CommandRecord] = deque()
        self._trades = PublishedPosition()
        self._book = PublishedPosition()
        self._silent_since_s: float | None = None

    @property
    def position(self) -> FilterPosition:
        """What of the executions was seen."""
        return self._filter.position(self.partition)

    @property
    def read_to(self) -> int:
        """The command to read next."""
        return self.next_offset + len(self._waiting)

    def command(self, record: CommandRecord) -> None:
        """The next record of the command log. Raises BrokenLogError."""
        if record.offset() != self.read_to:
            raise BrokenLogError(f"command {record.offset()} came, {self.read_to} was next")
        self._waiting.append(record)

    def execution(self, record: Record) -> None:
        """The next record of executions. Raises BrokenLogError."""
        before = self.position.next_command
        self._filter.follow(self.partition, record.offset() or 0, record.value())
        if self.position.next_command > before:
            self._silent_since_s = None

    def catch_up(self) -> None:
        """Apply what was told long enough ago."""
        until = min(self.position.next_command - self._lag, self.read_to)
        while self.next_offset < until:
            self._apply(self._waiting.popleft())

    def _apply(self, record: CommandRecord) -> None:
        at = EnginePosition(self.partition, self.next_offset, record.timestamp()[1])
        outcome = self.engine.apply(command_of(record, at), at)
        if isinstance(outcome.event, OrderAccepted) and outcome.event.fills:
            self._trades = PublishedPosition(at.offset, len(outcome.event.fills) - 1)
        if self.engine.changed:
            self._book = PublishedPosition(at.offset, len(self.engine.changed) - 1)
        self.next_offset += 1

    def silent_s(self, now_s: float) -> float:
        """For how long commands have waited and no outcome came; 0.0 when none waits."""
        if self.read_to <= self.position.next_command:
            self._silent_since_s = None
            return 0.0
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        return now_s - self._silent_since_s

    def take_over(self, logs: Reading, log: Log, epoch: int) -> Claimed:
        """As the matcher of this claim. Raises BrokenLogError, UnavailableError."""
        recovered = Recovered(self.engine, FilterPosition(next_command=self.next_offset))
        taken = claimed(logs, log, epoch, recovered, self.position)
        if taken.trades < self._trades or taken.book < self._book:
            return take(logs, log, self.partition, epoch)
        return taken
