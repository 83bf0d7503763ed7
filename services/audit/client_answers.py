"""Checks that each outcome matches its command, and that only owners cancelled orders.

Pure, and independent of the engine: judged from the command, its recorded outcome, and the orders
that earlier outcomes left open.
"""

from collections.abc import Mapping

from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    SetQuotas,
    Tick,
)
from schemas.conditions import needs_instrument
from schemas.executions import (
    CommandRefused,
    Event,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    OrdersCancelled,
    Outcome,
    PhaseSet,
    QuotasSet,
    Ticked,
)
from schemas.outcome_steps import is_parked
from services.audit import instruments, phases
from services.audit.amendments import answers_amendment
from services.audit.conditions import is_day
from services.audit.ledger import OrderState
from services.audit.mass_cancels import answers_cancel_all
from services.audit.report import AuditReport
from services.audit.stops import StopAudit
from services.matcher.engine import EnginePosition
from services.matcher.rules import RULES, Rules

_SHOWN_MAX = 300
_IDS_SHOWN = 3
# Fields that an order with conditions has beside those of a plain one.
_CONDITIONS = tuple(
    name for name in EnterOrder.__struct_fields__ if name not in PlaceOrder.__struct_fields__
)
_ORDER_REFUSALS = (
    "duplicate_order_id",
    "client_order_id_reused",
    "stale_order_id",
    "too_many_open_orders",
    "too_many_symbols",
    "too_many_client_order_ids",
    *instruments.REFUSALS,
    *phases.REFUSALS,
)

# Of an amendment of an open order by its broker.
_AMENDMENT_REFUSALS = ("post_only_would_trade", *instruments.REFUSALS, *phases.REFUSALS)


class Answers:
    """The check of one partition. `open_orders` must be in its state before the outcome."""

    def __init__(
        self,
        open_orders: Mapping[str, OrderState],
        stops: StopAudit,
        report: AuditReport,
        rules: Rules = RULES,
    ) -> None:
        self.clock = 0
        """The market's time after the last outcome."""
        self._stops = stops
        self._open = open_orders
        self._rules = rules
        self._answers = report["answers"]
        self._owner = report["owner"]

    def look(self, command: Command | None, outcome: Outcome, at: EnginePosition) -> None:
        """Check a command and its recorded outcome, before that outcome is applied."""
        where = f"{at.partition}@{at.offset}"
        self._answers.checked += 1
        if not _answers(command, outcome.event):
            found = repr(outcome.event)[:_SHOWN_MAX]
            self._answers.fail(f"{where}: {command} was answered with {found}")
        self.clock = max(self.clock, at.timestamp)
        if outcome.time != self.clock:
            self._answers.fail(f"{where}: the time is {outcome.time}, expected {self.clock}")
        if isinstance(command, CancelOrder | AmendOrder):
            self._look_at_owner(command, outcome, where)
        elif isinstance(command, CancelAll):
            self._look_at_cancelled(command, outcome, where)
        elif isinstance(outcome.event, OrderRepeated | CommandRefused):
            self._look_at_original(outcome.event, where)

    def _look_at_owner(
        self, command: CancelOrder | AmendOrder, outcome: Outcome, where: str
    ) -> None:
        self._owner.checked += 1
        state = self._open.get(command.order_id)
        gone = command.order_id in _gone_before(outcome)
        event = outcome.event
        found = event.code if isinstance(event, CommandRefused) else type(event).__name__
        wanted = "OrderCancelled" if isinstance(command, CancelOrder) else "OrderAmended"
        if state is None or gone:
            wanted = "order_not_open"
        elif state.accepted.broker_id != command.broker_id:
            wanted = "not_owner"
        elif isinstance(command, AmendOrder) and self._is_fixed(command, state, outcome):
            wanted = "not_amendable"
        elif found in _AMENDMENT_REFUSALS:
            return
        if found != wanted:
            verb = "cancels" if isinstance(command, CancelOrder) else "amends"
            self._owner.fail(
                f"{where}: {command.broker_id} {verb} {command.order_id}: {found}, "
                f"expected {wanted}"
            )
        if isinstance(command, AmendOrder) and isinstance(event, OrderAmended) and state:
            left = _left_before(outcome, state)
            fits = answers_amendment(command, event, state.accepted, left)
            if not state.carried and not fits:
                self._answers.fail(f"{where}: {command} was answered with {event}")

    def _is_fixed(self, command: AmendOrder, state: OrderState, outcome: Outcome) -> bool:
        """True if no phase lets the command of an outcome amend the order: it was elected and had
        not taken yet, or has no such value."""
        order = state.accepted
        if command.valid_until is not None and is_day(order):
            return True
        if command.display_quantity and _shows_all(order):
            return True
        took = {step.order_id for step in outcome.before}
        is_new = state.triggered_at is None and order.order_id not in took
        if is_new and isinstance(order, OrderEntered) and is_parked(order):
            is_elected = self._stops.is_elected(order.symbol, order.order_id)
            return is_elected or not _fits_stop(command, order)
        return command.stop_price is not None

    def _look_at_cancelled(self, command: CancelAll, outcome: Outcome, where: str) -> None:
        self._owner.checked += 1
        event, gone = outcome.event, _gone_before(outcome)
        if isinstance(event, OrdersCancelled) and not answers_cancel_all(
            command, event, self._open, gone, self._rules.cancels_max
        ):
            found = [each.order_id for each in event.orders[:_IDS_SHOWN]]
            self._owner.fail(
                f"{where}: {command} cancelled {len(event.orders)} orders, first {found}: "
                "these are not the oldest open orders that it names"
            )

    def _look_at_original(self, event: OrderRepeated | CommandRefused, where: str) -> None:
        """A repeated order must refer to an order of the same broker."""
        if event.original_order_id is None:
            return
        self._owner.checked += 1
        original = self._open.get(event.original_order_id)
        if original is not None and original.accepted.broker_id != event.broker_id:
            self._owner.fail(
                f"{where}: {event.broker_id} receives {event.original_order_id}, an order of "
                f"{original.accepted.broker_id}"
            )


def _fits_stop(command: AmendOrder, order: OrderEntered) -> bool:
    """True if a stop order that waits has the values that the command replaces."""
    price, stop_price = command.price or order.price, command.stop_price or order.stop_price or 0
    if (price is None) != (order.price is None):
        return False
    beyond = (price or stop_price) - stop_price
    return command.waits and (beyond if order.side == "bid" else -beyond) >= 0


def _shows_all(order: OrderAccepted) -> bool:
    return not isinstance(order, OrderEntered) or not order.display_quantity


def _left_before(outcome: Outcome, state: OrderState) -> int:
    """Remaining quantity of an order when the command of an outcome was decided."""
    left, order_id = state.remaining, state.accepted.order_id
    for step in outcome.before:
        if step.order_id == order_id:
            left = step.remaining_quantity
        for fill in step.fills:
            if fill.maker_order_id == order_id:
                left = fill.maker_remaining_quantity
    return left


def _gone_before(outcome: Outcome) -> set[str]:
    """The orders that closed in an outcome before its command was decided."""
    gone = {expired.order_id for expired in outcome.expired}
    for step in outcome.before:
        gone.update(fill.maker_order_id for fill in step.fills if not fill.maker_remaining_quantity)
        gone.update(one.maker_order_id for one in step.prevented if one.quantity)
        if step.closed_reason is not None:
            gone.add(step.order_id)
    return gone


def _answers(command: Command | None, event: Event) -> bool:
    if isinstance(command, PlaceOrder):
        return _answers_order(command, event)
    if isinstance(command, CancelOrder):
        if isinstance(event, OrderCancelled):
            return event.order_id == command.order_id
        return _refused(event, command, "order_not_open", "not_owner")
    if isinstance(command, AmendOrder):
        return _answers_amendment(command, event)
    if command is None:
        return event == CommandRefused("malformed_command")
    return _answers_rare(command, event)


def _answers_rare(
    command: CancelAll | SetInstrument | SetPhase | SetQuotas | Tick, event: Event
) -> bool:
    if isinstance(command, CancelAll):
        return isinstance(event, OrdersCancelled)
    if isinstance(command, SetInstrument):
        return _answers_instrument(command, event)
    if isinstance(command, SetPhase):
        return _answers_phase(command, event)
    if isinstance(command, SetQuotas):
        return event == QuotasSet(command.quotas)
    return isinstance(event, Ticked)


def _answers_amendment(command: AmendOrder, event: Event) -> bool:
    if isinstance(event, OrderAmended):
        ids = (event.order_id, event.broker_id, event.request)
        return ids == (command.order_id, command.broker_id, command.request)
    codes = ("order_not_open", "not_owner", "not_amendable", *_AMENDMENT_REFUSALS)
    return _refused(event, command, *codes)


def _answers_instrument(command: SetInstrument, event: Event) -> bool:
    if isinstance(event, InstrumentSet):
        set_ = (event.symbol, event.request, event.rules)
        reference = command.reference_price or event.reference_price
        wanted = (command.symbol, command.request, command.rules)
        return set_ == wanted and event.reference_price == reference
    is_first = command.reference_price is None
    return is_first and event == CommandRefused("needs_reference_price", request=command.request)


def _answers_phase(command: SetPhase, event: Event) -> bool:
    if isinstance(event, PhaseSet):
        set_ = (event.symbol, event.request, event.phase)
        fits = event.previous in (command.expected or event.previous, command.phase)
        return fits and set_ == (command.symbol, command.request, command.phase)
    differs = CommandRefused("phase_differs", request=command.request)
    if event == differs:
        return command.expected is not None
    return event == CommandRefused("needs_instrument", request=command.request)


def _answers_order(command: PlaceOrder, event: Event) -> bool:
    if isinstance(event, OrderAccepted):
        entered = (
            event.order_id,
            event.broker_id,
            event.document_number,
            event.symbol,
            event.side,
            event.order_type,
            event.quantity,
            event.price,
            event.valid_until,
            event.client_order_id,
        )
        if isinstance(event, OrderEntered):
            conditions = {name: getattr(event, name) for name in _CONDITIONS}
            return EnterOrder(*entered, **conditions) == command
        return PlaceOrder(*entered) == command
    if isinstance(event, OrderRepeated):
        return (event.order_id, event.broker_id) == (command.order_id, command.broker_id)
    codes = [*_ORDER_REFUSALS]
    if isinstance(command, EnterOrder):
        if command.stop_price is not None:
            codes.append("stop_would_trigger")
        if needs_instrument(command):
            codes.append("needs_instrument")
        if command.post_only:
            codes.append("post_only_would_trade")
    return _refused(event, command, *codes)


def _refused(event: Event, command: PlaceOrder | CancelOrder | AmendOrder, *codes: str) -> bool:
    return (
        isinstance(event, CommandRefused)
        and event.code in codes
        and event.request == (command.request if isinstance(command, AmendOrder) else None)
        and (event.order_id, event.broker_id) == (command.order_id, command.broker_id)
    )
