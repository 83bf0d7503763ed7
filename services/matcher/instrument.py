"""The instrument of one symbol, and which orders its rules refuse. Pure."""

from msgspec import Struct

from schemas.commands import PlaceOrder
from schemas.executions import RefusalCode
from schemas.instruments import InstrumentRules, Phase
from schemas.order_rules import PHASE_REFUSALS, rule_refusal


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
        return PHASE_REFUSALS.get(self.phase)

    def refusal(self, command: PlaceOrder) -> RefusalCode | None:
        """Refusal of an order that comes in the wrong phase or breaks a rule; None: neither."""
        if self.phase != "continuous":
            return self.phase_refusal()
        return rule_refusal(command, self.rules, self.reference)
