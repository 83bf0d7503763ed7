"""Checks that orders enter, change and trade only in continuous trading, and that a close ends the
day orders. Pure, and independent of the engine.
"""

from collections.abc import Mapping

from schemas.commands import AmendOrder, Command, PlaceOrder, SetPhase
from schemas.executions import (
    CommandRefused,
    InstrumentSet,
    OrderAccepted,
    OrderCancelled,
    Outcome,
    PhaseSet,
)
from schemas.instruments import Phase
from schemas.outcome_steps import MakerPrevented, Step, Taking, steps_of
from services.audit.conditions import is_day
from services.audit.instruments import REFUSALS as RULE_REFUSALS
from services.audit.ledger import OrderState
from services.audit.report import AuditReport
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState

REFUSALS = ("market_halted", "market_closed")
_WANTED: dict[Phase, str] = {"halted": "market_halted", "closed": "market_closed"}


class PhaseAudit:
    """The check of one partition. `open_orders` must be in its state before the outcome."""

    def __init__(
        self,
        partition: int,
        open_orders: Mapping[str, OrderState],
        report: AuditReport,
        rules: Rules = RULES,
    ) -> None:
        self._partition = partition
        self._open = open_orders
        self._rules = rules
        self._check = report["phases"]
        # Of every symbol with an instrument.
        self._phases: dict[str, Phase] = {}
        # Open day orders by symbol, and those that a close has ended and no outcome expired yet.
        self._days: dict[str, set[str]] = {}
        self._ended: set[str] = set()

    def carry(self, state: EngineState) -> None:
        """Take over the phases and day orders where the audit begins."""
        self._phases = {row.symbol: row.phase for row in state.instruments}
        ends = {order.order_id: (order.symbol, order.valid_until) for order in state.orders}
        for stop in state.stops:
            ends[stop.order.order_id] = (stop.order.symbol, stop.order.valid_until)
        for order_id in state.day_orders:
            symbol, end = ends[order_id]
            if end is None:
                self._days.setdefault(symbol, set()).add(order_id)
            else:
                self._ended.add(order_id)

    def apply(self, command: Command | None, outcome: Outcome, offset: int) -> None:
        """Apply the outcome of the command at `offset`."""
        where = f"{self._partition}@{offset}"
        for one in outcome.expired:
            self._gone(one.symbol, one.order_id)
        self._look_at_ended(len(outcome.expired), where)
        for step, _ in steps_of(outcome):
            if isinstance(step, CommandRefused):
                self._refused(command, step, where)
            else:
                self._step(step, where)

    def _step(self, step: Step, where: str) -> None:
        if isinstance(step, InstrumentSet):
            known = self._phases.setdefault(step.symbol, "continuous")
            if step.phase != known:
                self._check.fail(f"{where}: {step.symbol} is {step.phase}, it was {known}")
        elif isinstance(step, PhaseSet):
            self._phase_set(step, where)
        elif isinstance(step, OrderCancelled | MakerPrevented):
            self._gone(step.symbol, step.order_id)
        elif isinstance(step, Taking):
            self._taken(step, where)

    def _taken(self, step: Taking, where: str) -> None:
        phase = self._phases.get(step.symbol)
        if phase is not None:
            self._check.checked += 1
        if phase in _WANTED:
            what = "traded" if step.fills else "was taken"
            self._check.fail(f"{where} order {step.order_id} {what} while {phase}")
        if isinstance(step, OrderAccepted) and is_day(step):
            if phase is None:
                self._check.fail(f"{where} order {step.order_id} is a day order without a phase")
            self._days.setdefault(step.symbol, set()).add(step.order_id)
        if step.order_id in self._ended and step.closed_reason != "expired":
            self._check.fail(f"{where}: order {step.order_id} was taken after its day")
        if step.closed_reason is not None:
            self._gone(step.symbol, step.order_id)
        for fill in step.fills:
            if fill.maker_order_id in self._ended:
                self._check.fail(f"{where}: {fill.maker_order_id} traded after its day")
            if not fill.maker_remaining_quantity:
                self._gone(step.symbol, fill.maker_order_id)

    def _phase_set(self, event: PhaseSet, where: str) -> None:
        self._check.checked += 1
        known = self._phases.get(event.symbol)
        if event.previous != known:
            self._check.fail(f"{where}: {event.symbol} was {event.previous}, expected {known}")
        self._phases[event.symbol] = event.phase
        if event.phase == "closed" and event.previous != "closed":
            self._ended |= self._days.pop(event.symbol, set())

    def _gone(self, symbol: str, order_id: str) -> None:
        self._days.get(symbol, set()).discard(order_id)
        self._ended.discard(order_id)

    def _refused(self, command: Command | None, event: CommandRefused, where: str) -> None:
        wanted: str | None = event.code
        if isinstance(command, SetPhase):
            wanted = self._refusal_of(command)
        elif event.code in REFUSALS or event.code in RULE_REFUSALS:
            phase = self._phases.get(self._symbol_of(command) or "", "continuous")
            # The phase comes before the rules of the instrument.
            wanted = _WANTED.get(phase) or (None if event.code in REFUSALS else event.code)
        else:
            return
        self._check.checked += 1
        if event.code != wanted:
            self._check.fail(f"{where} was refused {event.code}, expected {wanted}")

    def _refusal_of(self, command: SetPhase) -> str | None:
        known = self._phases.get(command.symbol)
        if known is None:
            return "needs_instrument"
        is_expected = known in (command.phase, command.expected or known)
        return None if is_expected else "phase_differs"

    def _symbol_of(self, command: Command | None) -> str | None:
        if isinstance(command, PlaceOrder):
            return command.symbol
        order = self._open.get(command.order_id) if isinstance(command, AmendOrder) else None
        return None if order is None else order.accepted.symbol

    def _look_at_ended(self, expired: int, where: str) -> None:
        """Day orders that an earlier command has ended may only be open where the bound on
        expiries was reached."""
        if not self._ended:
            return
        self._check.checked += 1
        if expired < self._rules.expiries_max:
            self._check.fail(f"{where}: {len(self._ended)} day orders are open after their day")
