"""Checks that orders keep to the instruments of their symbols. Pure, and independent of the engine.

Keeps the rules that the outcomes have set, and each symbol's reference price.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import astuple

from schemas.commands import AmendOrder, Command, EnterOrder, PlaceOrder
from schemas.executions import (
    CommandRefused,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderEntered,
    Outcome,
    PhaseSet,
)
from schemas.instruments import InstrumentRules, Phase
from schemas.outcome_steps import steps_of
from schemas.snapshots import InstrumentRow
from services.audit.report import AuditReport

REFUSALS = (
    "off_tick",
    "off_lot",
    "over_max_quantity",
    "over_max_value",
    "outside_price_band",
    "stop_would_trigger",
)
# Those that a price alone may break.
_PRICES = ("off_tick", "outside_price_band", "stop_would_trigger")
# Phase, reference price and the trade that it follows, and the rules.
StoredInstrument = tuple[object, ...]


class _Instrument(Struct):
    rules: InstrumentRules
    phase: Phase
    reference: int
    # The command that gave the symbol an instrument first; -1: before the audit's beginning.
    since: int
    # As set; the reference moves with each trade.
    stored: StoredInstrument | None


class InstrumentAudit:
    """The check of one partition."""

    def __init__(self, partition: int, report: AuditReport) -> None:
        self._partition = partition
        self._check = report["instruments"]
        self._held: dict[str, _Instrument] = {}

    def carry(self, rows: Iterable[InstrumentRow]) -> None:
        """Take over the instruments where the audit begins."""
        for row in rows:
            self._held[row.symbol] = _Instrument(
                row.rules, row.phase, row.reference_price, -1, None
            )

    def stored(self) -> dict[str, StoredInstrument]:
        """The row that PostgreSQL must have of each instrument set since the audit's beginning."""
        return {name: held.stored for name, held in self._held.items() if held.stored is not None}

    def since(self, symbol: str) -> int | None:
        """The command that gave a symbol an instrument first; None: it has none."""
        held = self._held.get(symbol)
        return None if held is None else held.since

    def is_in_band(self, symbol: str, price: int) -> bool:
        """True if the next command may trade at this price."""
        held = self._held.get(symbol)
        if held is None or held.rules.band_ppm is None:
            return True
        return abs(price - held.reference) * 1_000_000 <= held.rules.band_ppm * held.reference

    def apply(self, command: Command | None, outcome: Outcome, offset: int) -> None:
        """Apply the outcome of the command at `offset`."""
        for step, trades in steps_of(outcome):
            where = f"{self._partition}@{offset}"
            if isinstance(step, InstrumentSet):
                former = self._held.get(step.symbol)
                since = offset if former is None else former.since
                reference = step.reference_price
                stored = (step.phase, reference, step.trade_sequence, *astuple(step.rules))
                self._held[step.symbol] = _Instrument(
                    step.rules, step.phase, reference, since, stored
                )
            elif isinstance(step, PhaseSet):
                self._phase_set(step)
            elif isinstance(step, OrderAccepted):
                self._accepted(step, f"{where} order {step.order_id}")
            elif isinstance(step, OrderAmended) and isinstance(command, AmendOrder):
                self._amended(command, step, f"{where} order {step.order_id}")
            elif isinstance(step, CommandRefused) and isinstance(command, PlaceOrder):
                self._refused(command, step, f"{where} order {step.order_id}")
            if trades and trades[0].taker.symbol in self._held:
                self._held[trades[0].taker.symbol].reference = trades[-1].fill.price

    def _phase_set(self, event: PhaseSet) -> None:
        held = self._held.get(event.symbol)
        if held is None:
            # The check of phases reports it.
            return
        held.phase = event.phase
        if held.stored is not None:
            held.stored = (event.phase, *held.stored[1:])

    def _accepted(self, event: OrderAccepted, where: str) -> None:
        held = self._held.get(event.symbol)
        if held is None:
            return
        self._check.checked += 1
        broken = list(_broken(held, event))
        if broken:
            self._check.fail(f"{where} was accepted: {', '.join(broken)}")

    def _amended(self, command: AmendOrder, event: OrderAmended, where: str) -> None:
        held = self._held.get(event.symbol)
        if held is None:
            return
        if event.closed_reason is None or event.fills:
            self._check.checked += 1
            # The requested quantity; the remaining one is not checked again.
            quantity = command.quantity or held.rules.lot_size
            ids = (event.order_id, event.broker_id, "")
            order = EnterOrder(
                *ids,
                event.symbol,
                event.side,
                "limit" if event.stop_price is None else "market",
                quantity,
                event.price,
                stop_price=event.stop_price,
            )
            broken = [code for code in _broken(held, order) if command.quantity or code in _PRICES]
            if broken:
                self._check.fail(f"{where} was amended: {', '.join(broken)}")

    def _refused(self, command: PlaceOrder, event: CommandRefused, where: str) -> None:
        if event.code not in REFUSALS:
            return
        self._check.checked += 1
        held = self._held.get(command.symbol)
        broken = [] if held is None else list(_broken(held, command))
        if broken[:1] != [event.code]:
            self._check.fail(f"{where} was refused {event.code}, expected {broken[:1]}")


def _broken(held: _Instrument, order: PlaceOrder | OrderAccepted) -> Iterable[str]:
    """The rules that an order breaks, in the order in which a refusal names the first."""
    rules, price = held.rules, order.price
    stop_price = order.stop_price if isinstance(order, EnterOrder | OrderEntered) else None
    if any((one or 0) % rules.tick_size for one in (price, stop_price)):
        yield "off_tick"
    minimum = order.minimum_quantity if isinstance(order, EnterOrder | OrderEntered) else None
    display = order.display_quantity if isinstance(order, EnterOrder | OrderEntered) else None
    if any((count or 0) % rules.lot_size for count in (order.quantity, minimum, display)):
        yield "off_lot"
    if order.quantity > (rules.quantity_max or order.quantity):
        yield "over_max_quantity"
    value = order.quantity * (price or stop_price or held.reference)
    if value > (rules.value_max or value):
        yield "over_max_value"
    if _is_outside(rules, order):
        yield "outside_price_band"
    if stop_price is None:
        return
    distance = held.reference - stop_price
    if (distance if order.side == "bid" else -distance) >= 0:
        yield "stop_would_trigger"


def _is_outside(rules: InstrumentRules, order: PlaceOrder | OrderAccepted) -> bool:
    """True if a bid is above the highest price, or an ask below the lowest."""
    if order.price is None:
        return False
    if order.side == "bid":
        return rules.price_max is not None and order.price > rules.price_max
    return rules.price_min is not None and order.price < rules.price_min
