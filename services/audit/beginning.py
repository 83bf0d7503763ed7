"""Beginning of the audit of a partition: the first command of the log, or, if `exchange trim log`
has deleted that, the oldest snapshot that can be restored."""

from msgspec import Struct

from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS
from services.matcher.engine import Engine
from services.matcher.recovery import LogTopics, commits_of, position_of, restored
from services.matcher.snapshot import UnusableSnapshotError
from services.runtime.errors import BrokenLogError, UnavailableError
from services.runtime.kafka.consumer import LogConsumer
from services.runtime.kafka.execution_filter import FilterPosition


class Beginning(Struct, frozen=True):
    """The engine before the first command that is examined, and where the logs go on."""

    engine: Engine
    position: FilterPosition

    @property
    def first(self) -> int:
        """The first command; 0 if the log is whole."""
        return self.position.next_command


def find_beginning(consumer: LogConsumer, log: LogTopics, number: int) -> Beginning:
    """The beginning of this partition. Raises UnavailableError if the log has lost its first
    records and no snapshot replaces them."""
    commands = consumer.range(log.partition(COMMANDS, number))
    executions = consumer.range(log.partition(EXECUTIONS, number))
    if commands.low == 0 and executions.low == 0:
        return Beginning(Engine(number), FilterPosition())
    snapshots = log.partition(SNAPSHOTS, number)
    for record, commit in reversed(list(commits_of(consumer, snapshots))):
        try:
            engine = restored(consumer, log, number, record, commit, executions.end)
        except (UnusableSnapshotError, BrokenLogError):
            # A matcher skips it too; another check reports the snapshots that can be compared.
            continue
        return Beginning(engine, position_of(commit))
    lost, low = (COMMANDS, commands.low) if commands.low else (EXECUTIONS, executions.low)
    raise UnavailableError(
        f"the beginning of {lost.name}/{number} is gone: it starts at {low}, and no good snapshot "
        "reaches it"
    )
