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
)
from schemas.instruments import InstrumentRules, Phase
from schemas.snapshots import InstrumentRow
from services.audit.report import AuditReport

REFUSALS = ("off_tick", "off_lot", "over_max_quantity", "over_max_value", "outside_price_band")
# Those that a price alone may break.
_PRICES = ("off_tick", "outside_price_band")
# Phase, reference price and the trade that it follows, and the rules.
StoredInstrument = tuple[object, ...]


class _Instrument(Struct):
    rules: InstrumentRules
    phase: Phase
    reference: int
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
            self._held[row.symbol] = _Instrument(row.rules, row.phase, row.reference_price, None)

    def stored(self) -> dict[str, StoredInstrument]:
        """The row that PostgreSQL must have of each instrument set since the audit's beginning."""
        return {name: held.stored for name, held in self._held.items() if held.stored is not None}

    def apply(self, command: Command | None, outcome: Outcome, offset: int) -> None:
        """Apply the outcome of the command at `offset`."""
        event = outcome.event
        if isinstance(event, InstrumentSet):
            stored = (event.phase, event.reference_price, event.trade_sequence)
            self._held[event.symbol] = _Instrument(
                event.rules, event.phase, event.reference_price, (*stored, *astuple(event.rules))
            )
        elif isinstance(event, OrderAccepted):
            self._accepted(event, f"{self._partition}@{offset} order {event.order_id}")
        elif isinstance(event, OrderAmended) and isinstance(command, AmendOrder):
            self._amended(command, event, f"{self._partition}@{offset} order {event.order_id}")
        elif isinstance(event, CommandRefused) and isinstance(command, PlaceOrder):
            self._refused(command, event, f"{self._partition}@{offset} order {event.order_id}")

    def _accepted(self, event: OrderAccepted, where: str) -> None:
        held = self._held.get(event.symbol)
        if held is None:
            return
        self._check.checked += 1
        broken = list(_broken(held, event))
        if broken:
            self._check.fail(f"{where} was accepted: {', '.join(broken)}")
        if event.fills:
            held.reference = event.fills[-1].price

    def _amended(self, command: AmendOrder, event: OrderAmended, where: str) -> None:
        held = self._held.get(event.symbol)
        if held is None:
            return
        if event.closed_reason is None or event.fills:
            self._check.checked += 1
            # The quantity that was asked for; what was left of the order is not judged anew.
            quantity = command.quantity or held.rules.lot_size
            ids = (event.order_id, event.broker_id, "")
            order = PlaceOrder(*ids, event.symbol, event.side, "limit", quantity, event.price)
            broken = [code for code in _broken(held, order) if command.quantity or code in _PRICES]
            if broken:
                self._check.fail(f"{where} was amended: {', '.join(broken)}")
        if event.fills:
            held.reference = event.fills[-1].price

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
    if (price or 0) % rules.tick_size:
        yield "off_tick"
    minimum = order.minimum_quantity if isinstance(order, EnterOrder | OrderEntered) else None
    if any((count or 0) % rules.lot_size for count in (order.quantity, minimum)):
        yield "off_lot"
    if order.quantity > (rules.quantity_max or order.quantity):
        yield "over_max_quantity"
    value = order.quantity * (price or held.reference)
    if value > (rules.value_max or value):
        yield "over_max_value"
    if price is None:
        return
    if order.side == "bid":
        outside = rules.price_max is not None and price > rules.price_max
    else:
        outside = rules.price_min is not None and price < rules.price_min
    if outside:
        yield "outside_price_band"
