"""Phases as the audit's books need them: in public records, and as the end of day orders.

Pure, and independent of the engine.
"""

from collections.abc import Iterable

from msgspec import structs

from schemas.book import BookUpdate
from schemas.executions import OrderAccepted, PhaseSet
from schemas.instruments import Phase
from schemas.outcome_steps import ExecutedTrade
from schemas.trades import Trade
from services.audit.conditions import is_day
from services.matcher.state import EngineState


class BookPhases:
    """The phases of one partition."""

    def __init__(self) -> None:
        self._phases: dict[str, Phase] = {}
        # Ids of the orders, open or not, that end at the next close of their symbol.
        self._day_orders: dict[str, set[str]] = {}
        # The phase of a symbol, if the latest outcome changed it.
        self._changed: dict[str, Phase] = {}

    def carry(self, state: EngineState) -> None:
        """Take over the phases and day orders where the audit begins."""
        self._phases = {row.symbol: row.phase for row in state.instruments}
        symbols = {order.order_id: order.symbol for order in state.orders}
        symbols |= {stop.order.order_id: stop.order.symbol for stop in state.stops}
        for order_id in state.day_orders:
            self._day_orders.setdefault(symbols[order_id], set()).add(order_id)

    def entered(self, event: OrderAccepted) -> None:
        """Apply an accepted order."""
        if is_day(event):
            self._day_orders.setdefault(event.symbol, set()).add(event.order_id)

    def next_outcome(self) -> None:
        """Begin the records of the next outcome."""
        self._changed = {}

    def phase_set(self, event: PhaseSet) -> Iterable[str]:
        """Apply a changed phase; the day orders that it ends, open or not."""
        self._phases[event.symbol] = self._changed[event.symbol] = event.phase
        return self._day_orders.pop(event.symbol, ()) if event.phase == "closed" else ()

    def shown(self, update: BookUpdate) -> BookUpdate:
        """The record with the phase that it must have."""
        phase = self._changed.get(update.symbol)
        if update.whole and phase is None and self._phases.get(update.symbol) != "continuous":
            phase = self._phases.get(update.symbol)
        return update if phase is None else structs.replace(update, phase=phase)


def public_trade(trade: ExecutedTrade, time: int, offset: int) -> Trade:
    """The record of a trade."""
    fill = trade.fill
    return Trade(
        trade.taker.symbol,
        fill.sequence,
        fill.trade_id,
        time,
        fill.price,
        fill.quantity,
        trade.taker.side,
        offset,
        trade.index,
    )
