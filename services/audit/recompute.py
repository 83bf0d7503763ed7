"""One partition recomputed by a fresh engine: what the log must have led to.

Pure. Stops at the first command whose outcome nobody recorded: what follows is counted only.
"""

from schemas.codec import encode
from schemas.commands import Command
from schemas.executions import Outcome
from services.audit.books import SIDES, ToldBooks
from services.audit.report import AuditReport
from services.matcher.engine import Engine, EnginePosition

_SHOWN_MAX = 300


class Recomputation:
    """The engine of a partition; every outcome of its own is held against the recorded one."""

    def __init__(self, partition: int, report: AuditReport) -> None:
        self.engine = Engine(partition)
        self._partition = partition
        self._recomputed = report["recomputed"]

    def apply(self, command: Command | None, at: EnginePosition, recorded: Outcome) -> None:
        """Recompute one command, and compare it with what was recorded."""
        outcome = self.engine.apply(command, at)
        self._recomputed.checked += 1
        mine, theirs = encode(outcome), encode(recorded)
        if mine != theirs:
            self._recomputed.fail(
                f"{self._partition}@{at.offset}: recorded {theirs[:_SHOWN_MAX].decode()}, "
                f"recomputed {mine[:_SHOWN_MAX].decode()}"
            )

    def finish(self, books: ToldBooks) -> None:
        """At the end of the log: the engine's books are those of the outcomes."""
        symbols = self.engine.books.keys() | books.sequences().keys()
        for symbol in sorted(symbols):
            book = self.engine.books.get(symbol)
            for side in SIDES:
                levels = [] if book is None else book.levels(side)
                if levels != books.levels(symbol, side):
                    self._recomputed.fail(f"{symbol} {side}: the engine has another book")
