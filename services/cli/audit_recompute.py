"""One partition recomputed by a fresh engine: what the log must have led to.

Pure. Stops at the first command whose outcome nobody recorded: what follows is counted only.
"""

from schemas.book import BookUpdate
from schemas.codec import UnreadableError, decode_command, encode
from schemas.commands import Command
from schemas.executions import OrderAccepted, OrderCancelled, Outcome
from schemas.trades import Trade
from services.cli.audit_report import AuditReport
from services.matcher.engine import Engine, Position
from services.matcher.market import book_updates, trades_of

_SHOWN_MAX = 300


class Recomputation:
    """The engine of a partition, and everything that is checked command by command."""

    def __init__(self, partition: int, report: AuditReport) -> None:
        self.engine = Engine(partition)
        self._partition = partition
        self._recomputed = report["recomputed"]
        self._crossed = report["crossed"]
        self.trades: list[Trade] = []
        self.updates: list[BookUpdate] = []

    def apply(self, command: Command | None, at: Position, recorded: Outcome) -> None:
        """Recompute one command, compare it with what was recorded, look at its books."""
        outcome = self.engine.apply(command, at)
        self.trades = trades_of(outcome, at)
        self.updates = list(book_updates(outcome, at, self.engine))
        self._recomputed.checked += 1
        mine, theirs = encode(outcome), encode(recorded)
        if mine != theirs:
            self._recomputed.fail(
                f"{self._partition}@{at.offset}: recorded {theirs[:_SHOWN_MAX].decode()}, "
                f"recomputed {mine[:_SHOWN_MAX].decode()}"
            )
        self._crossed.checked += 1
        for symbol in _touched(outcome):
            self._look_at(symbol, at.offset)

    def _look_at(self, symbol: str, offset: int) -> None:
        book = self.engine.books.get(symbol)
        if book is None or book.bids.best is None or book.asks.best is None:
            return
        bid, ask = book.bids.best.price, book.asks.best.price
        if bid >= ask:
            self._crossed.fail(f"{self._partition}@{offset} {symbol}: bid {bid}, ask {ask}")


def command_of(value: bytes | None) -> Command | None:
    """The command in a record; None for what cannot be read, as the matcher sees it."""
    try:
        return decode_command(value)
    except UnreadableError:
        return None


def _touched(outcome: Outcome) -> set[str]:
    symbols = {expired.symbol for expired in outcome.expired}
    if isinstance(outcome.event, OrderAccepted | OrderCancelled):
        symbols.add(outcome.event.symbol)
    return symbols
