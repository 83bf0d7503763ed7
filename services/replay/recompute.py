"""Applies one partition's commands to a fresh engine and compares the outcomes with the record.

Pure: offsets, timestamps and bytes in; the same commands give the same digest everywhere.
"""

from msgspec import Struct

from schemas.codec import UnreadableError, decode_command, encode
from schemas.commands import Command
from schemas.executions import Outcome
from services.matcher.engine import Engine, EnginePosition
from services.runtime.errors import BrokenLogError

SAMPLES_MAX = 5
_SHOWN_MAX = 300
_SHOWN_BEFORE = 150


class Difference(Struct, frozen=True):
    """A command with a recorded outcome other than the recomputed one, or a snapshot whose digest
    differs from the engine's.

    Both as JSON text around the first differing character, or as digests.
    """

    offset: int
    recorded: str
    recomputed: str


class ReplaySummary(Struct, frozen=True, kw_only=True):
    """Output of `--json`. `clock` in milliseconds; `samples` are the first differences.

    `begun_at`: 0, or the position of a snapshot. `snapshots`: the number of compared digests.
    `not_recorded`: commands whose outcome the matcher has not written yet.
    """

    partition: int
    begun_at: int
    commands: int
    next_offset: int
    clock: int
    open_orders: int
    digest: str
    verified: bool
    compared: int
    snapshots: int
    not_recorded: int
    differences: int
    samples: list[Difference]


class Recomputation:
    """The engine of a partition and its position in the command log."""

    def __init__(self, engine: Engine, next_offset: int = 0) -> None:
        self.engine = engine
        self.next_offset = next_offset
        self._begun_at = next_offset
        self._compared = 0
        self._snapshots = 0
        self._not_recorded = 0
        self._differences = 0
        self._samples: list[Difference] = []

    def apply(self, offset: int, timestamp: int, command: Command | None) -> Outcome:
        """Apply the next command and return its outcome, as the matcher would publish it.

        None is an unreadable record. Raises BrokenLogError if a command is missing.
        """
        if offset != self.next_offset:
            raise BrokenLogError(f"command {offset} came, {self.next_offset} was next")
        self.next_offset = offset + 1
        at = EnginePosition(self.engine.partition, offset, timestamp)
        return self.engine.apply(command, at)

    def compare(self, outcome: Outcome, recorded: Outcome | None) -> Difference | None:
        """The difference between the latest command's outcome and the recorded one, if any."""
        if recorded is None:
            self._not_recorded += 1
            return None
        self._compared += 1
        if outcome == recorded:
            return None
        difference = _difference(self.next_offset - 1, encode(recorded), encode(outcome))
        self._differences += 1
        if len(self._samples) < SAMPLES_MAX:
            self._samples.append(difference)
        return difference

    def compare_digest(self, digest: str) -> None:
        """Compare the present engine with the digest of a snapshot."""
        self._snapshots += 1
        mine = self.engine.digest().hex()
        if mine != digest:
            self._differences += 1
            if len(self._samples) < SAMPLES_MAX:
                self._samples.append(Difference(self.next_offset, digest, mine))

    def summary(self, *, verified: bool) -> ReplaySummary:
        """The state of the replay."""
        return ReplaySummary(
            partition=self.engine.partition,
            begun_at=self._begun_at,
            commands=self.next_offset - self._begun_at,
            next_offset=self.next_offset,
            clock=self.engine.clock,
            open_orders=len(self.engine.open_orders),
            digest=self.engine.digest().hex(),
            verified=verified,
            compared=self._compared,
            snapshots=self._snapshots,
            not_recorded=self._not_recorded,
            differences=self._differences,
            samples=self._samples,
        )


def _difference(offset: int, recorded: bytes, recomputed: bytes) -> Difference:
    # Cut as text: a cut through the bytes of one character could not be decoded.
    theirs, mine = recorded.decode(), recomputed.decode()
    pairs = enumerate(zip(theirs, mine, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(theirs), len(mine)))
    return Difference(offset, _around(theirs, at), _around(mine, at))


def _around(text: str, at: int) -> str:
    first = max(0, at - _SHOWN_BEFORE)
    last = first + _SHOWN_MAX
    return f"{'...' * (first > 0)}{text[first:last]}{'...' * (last < len(text))}"


def command_of(value: bytes | None) -> Command | None:
    """Decode a command; None for an unreadable record, as in the matcher."""
    try:
        return decode_command(value)
    except UnreadableError:
        return None
