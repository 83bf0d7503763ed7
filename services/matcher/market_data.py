"""Public records of an outcome: its trades, and the price levels that its command changed.

Pure. Contains no private data: no broker, no order id, no customer document.
"""

from msgspec import structs

from schemas import outcome_steps
from schemas.book import BookUpdate
from schemas.executions import Outcome, PhaseSet
from schemas.instruments import Phase
from schemas.trades import Trade
from services.matcher.book import Book
from services.matcher.engine import Engine, EnginePosition


def trades_of(outcome: Outcome, at: EnginePosition) -> list[Trade]:
    """The trades of one command, in the order they happened."""
    return [
        Trade(
            trade.taker.symbol,
            trade.fill.sequence,
            trade.fill.trade_id,
            outcome.time,
            trade.fill.price,
            trade.fill.quantity,
            trade.taker.side,
            at.offset,
            trade.index,
        )
        for trade in outcome_steps.trades_of(outcome)
    ]


def book_updates(outcome: Outcome, at: EnginePosition, engine: Engine) -> list[BookUpdate]:
    """Records of the books that the engine's latest command changed, in the order of change."""
    updates = [
        _update(book, outcome.time, at.offset, index, engine)
        for index, book in enumerate(engine.changed.values())
    ]
    event = outcome.event
    if type(event) is PhaseSet and event.phase != event.previous:
        return [
            structs.replace(update, phase=event.phase) if update.symbol == event.symbol else update
            for update in updates
        ]
    return updates


def _update(book: Book, time: int, offset: int, index: int, engine: Engine) -> BookUpdate:
    every, levels_max = engine.rules.whole_book_every, engine.rules.whole_book_levels_max
    due = book.sequence == 1 or book.sequence % every == 0
    if due and len(book.bids) + len(book.asks) <= levels_max:
        bids, asks = tuple(book.levels("bid")), tuple(book.levels("ask"))
        return BookUpdate(
            book.symbol, book.sequence, time, offset, index, bids, asks, True, _phase_of(book)
        )
    return BookUpdate(book.symbol, book.sequence, time, offset, index, *book.changed_levels())


def _phase_of(book: Book) -> Phase | None:
    """The phase in a whole book; None means continuous trading."""
    phase = None if book.instrument is None else book.instrument.phase
    return None if phase == "continuous" else phase
