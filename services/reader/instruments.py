"""View of instruments: the rules of each symbol that has some. Pure."""

from msgspec import Struct, structs

from schemas.executions import InstrumentSet, PhaseSet
from schemas.instruments import InstrumentRules, Phase
from schemas.market_controls import InstrumentResource
from services.reader.prices import LastTrade


class InstrumentView(Struct, frozen=True):
    """A symbol's rules and phase. `reference_price` counts until the trade after
    `trade_sequence`."""

    rules: InstrumentRules
    phase: Phase
    reference_price: int
    trade_sequence: int

    def reference(self, last: LastTrade | None) -> int:
        """The present reference price of a symbol with this newest trade."""
        if last is not None and last.sequence > self.trade_sequence:
            return last.price
        return self.reference_price

    def resource(self, last: LastTrade | None) -> InstrumentResource:
        """The instrument as the API returns it."""
        return InstrumentResource.of(self.rules, self.reference(last))


class Instruments:
    """Instruments by symbol."""

    def __init__(self) -> None:
        self._held: dict[str, InstrumentView] = {}

    def get(self, symbol: str) -> InstrumentView | None:
        """The symbol's instrument; None: it has none."""
        return self._held.get(symbol)

    def phase(self, symbol: str) -> Phase:
        """The symbol's phase; orders of one without an instrument always trade."""
        held = self._held.get(symbol)
        return "continuous" if held is None else held.phase

    def changed(self, event: InstrumentSet) -> None:
        """Apply a new instrument, or new rules."""
        self._held[event.symbol] = InstrumentView(
            event.rules, event.phase, event.reference_price, event.trade_sequence
        )

    def phase_changed(self, event: PhaseSet) -> None:
        """Apply a new phase. A view of earlier events alone may lack the instrument."""
        held = self._held.get(event.symbol)
        if held is not None:
            self._held[event.symbol] = structs.replace(held, phase=event.phase)

    def restore(self, symbol: str, view: InstrumentView) -> None:
        """Load an instrument that was set before."""
        self._held[symbol] = view
