"""Phases of symbols: a halt, a close that ends the day orders, the return to trading. Pure."""

from collections.abc import Collection

from schemas.commands import SetPhase
from schemas.executions import CommandRefused, PhaseSet
from services.matcher.stops import StopOrder
from services.matcher.taking import TakingOrders


class PhasedOrders(TakingOrders):
    """Base of the engine: symbols with instruments change their phases."""

    @property
    def day_orders(self) -> Collection[str]:
        """Ids of the open orders, also of those that wait, that a close of their symbol ends."""
        return self._day_orders.keys()

    def _set_phase(self, command: SetPhase) -> PhaseSet | CommandRefused:
        """Change a symbol's phase. In the phase that it has already, nothing happens."""
        book = self.books.get(command.symbol)
        if book is None or book.instrument is None:
            return CommandRefused("needs_instrument", request=command.request)
        instrument, phase = book.instrument, command.phase
        previous = instrument.phase
        if phase != previous:
            if command.expected is not None and command.expected != previous:
                return CommandRefused("phase_differs", request=command.request)
            instrument.phase = phase
            self._touch_phase(book)
            if phase == "closed":
                self._end_day(book.symbol)
            self._hold_or_compare(book.symbol, instrument.reference)
        return PhaseSet(book.symbol, command.request, previous, phase, book.sequence)

    def _end_day(self, symbol: str) -> None:
        """Make the day orders of a symbol due; they expire with the next command, like others."""
        for order in self._day_orders.values():
            if order.symbol == symbol and order.valid_until is None:
                if type(order) is StopOrder:
                    order.end(self.clock)
                else:
                    order.valid_until = self.clock
                self._will_expire(order, self.clock)

    def _hold_or_compare(self, symbol: str, reference: int) -> None:
        """Let elected stops wait while the symbol is not trading; compare the others with the
        reference price, which may have been set meanwhile, when it trades again."""
        if self._stops is None:
            return
        if self._is_trading(symbol):
            self._stops.compare(symbol, reference, reference)
        else:
            self._stops.settle(self._is_trading)
