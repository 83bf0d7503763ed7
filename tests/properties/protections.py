"""Trades that self-trade prevention and the dynamic band forbid, as the invariants judge it.

Independent of the engine's code, as `invariants` is.
"""

from collections.abc import Iterable

from msgspec import structs

from schemas.executions import InstrumentSet, OrderAccepted, Outcome, Prevented
from schemas.outcome_steps import Taking, prevented_by, steps_of


class Protections:
    """The instruments before the present command, and orders that rested before they were set."""

    def __init__(self) -> None:
        self._instruments: dict[str, InstrumentSet] = {}
        self._without_document: set[str] = set()

    def is_own(self, order: OrderAccepted, maker: OrderAccepted) -> bool:
        """True if both have one broker and document; one without a document is no own order."""
        if maker.order_id in self._without_document:
            return False
        of_maker = maker.broker_id, maker.document_number
        return (order.broker_id, order.document_number) == of_maker

    def is_in_band(self, symbol: str, price: int) -> bool:
        """True if the present command may trade at this price."""
        held = self._instruments.get(symbol)
        if held is None or held.rules.band_ppm is None:
            return True
        distance = abs(price - held.reference_price)
        return distance * 1_000_000 <= held.rules.band_ppm * held.reference_price

    def end(self, outcome: Outcome, resting: Iterable[OrderAccepted]) -> None:
        """Learn what the command has changed. `resting`: the orders behind it."""
        for step, trades in steps_of(outcome):
            if isinstance(step, InstrumentSet):
                if step.symbol not in self._instruments:
                    self._without_document.update(
                        order.order_id for order in resting if order.symbol == step.symbol
                    )
                self._instruments[step.symbol] = step
            elif isinstance(step, OrderAccepted):
                self._without_document.discard(step.order_id)
            if trades and isinstance(step, Taking) and step.symbol in self._instruments:
                self._instruments[step.symbol] = structs.replace(
                    self._instruments[step.symbol], reference_price=trades[-1].fill.price
                )


def met_after(step: Taking, fills: int) -> list[Prevented]:
    """The own orders that an order came to after so many of its fills."""
    return [one for one in prevented_by(step) if one.after_fills == fills]
