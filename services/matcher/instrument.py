"""The instrument of one symbol, and which orders its rules refuse. Pure."""

from typing import Final

from msgspec import Struct

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import RefusalCode
from schemas.instruments import InstrumentRules, Phase
from schemas.units import SelfTradePrevention, Side

# What orders are refused with while their symbol is not in continuous trading.
_PHASE_REFUSALS: Final[dict[Phase, RefusalCode]] = {
    "halted": "market_halted",
    "closed": "market_closed",
}


class Instrument(Struct, gc=False):
    """One symbol's rules. `reference`: the price set, from the next trade on the last trade's.

    `_former`: the reference before the command at offset `_moved_by`, whose trades moved it last.
    """

    rules: InstrumentRules
    reference: int
    phase: Phase = "continuous"
    _former: int = 0
    _moved_by: int = -1

    def traded(self, price: int, offset: int) -> None:
        """Move the reference to the price of a trade by the command at `offset`."""
        if offset != self._moved_by:
            self._former, self._moved_by = self.reference, offset
        self.reference = price

    def reference_before(self, offset: int) -> int:
        """The reference before the trades of the command at `offset`, the latest one."""
        return self._former if offset == self._moved_by else self.reference

    def phase_refusal(self) -> RefusalCode | None:
        """Refusal of every order in the present phase; None: it takes orders."""
        return _PHASE_REFUSALS.get(self.phase)

    def refusal(self, command: PlaceOrder) -> RefusalCode | None:
        """Refusal of an order that comes in the wrong phase or breaks a rule; None: neither."""
        return self.phase_refusal() or self._broken_rule(command)

    def _broken_rule(self, command: PlaceOrder) -> RefusalCode | None:
        rules, price, quantity = self.rules, command.price, command.quantity
        lot = rules.lot_size
        minimum = stop_price = display = None
        if type(command) is EnterOrder:
            minimum, stop_price = command.minimum_quantity, command.stop_price
            display = command.display_quantity
        value = quantity * (price or stop_price or self.reference)
        code: RefusalCode | None = None
        if (price or 0) % rules.tick_size or (stop_price or 0) % rules.tick_size:
            code = "off_tick"
        elif (quantity % lot) or (minimum or 0) % lot or (display or 0) % lot:
            code = "off_lot"
        elif rules.quantity_max is not None and quantity > rules.quantity_max:
            code = "over_max_quantity"
        elif rules.value_max is not None and value > rules.value_max:
            code = "over_max_value"
        elif price is not None and rules.is_outside(command.side, price):
            code = "outside_price_band"
        elif stop_price is not None and is_reached(command.side, stop_price, self.reference):
            code = "stop_would_trigger"
        return code


def is_reached(side: Side, stop_price: int, price: int) -> bool:
    """True if a trade at this price elects a stop of this side."""
    return price >= stop_price if side == "bid" else price <= stop_price


class OrderTerms(Struct, frozen=True, gc=False):
    """Fields of an open order that entered a symbol with an instrument."""

    document_number: str
    self_trade_prevention: SelfTradePrevention | None = None

    @classmethod
    def of(cls, command: PlaceOrder) -> "OrderTerms":
        """The fields of a command's order."""
        mode = command.self_trade_prevention if isinstance(command, EnterOrder) else None
        return cls(command.document_number, mode)
