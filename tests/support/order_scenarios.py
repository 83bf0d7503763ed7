"""Plays the scenarios of order types on a market in memory: the engine or its reference model."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from conformance.scenarios import (
    Action,
    Cancel,
    Entry,
    MassCancel,
    PhaseChange,
    Replace,
    Result,
    SymbolRules,
)
from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    Tick,
)
from schemas.executions import (
    CommandRefused,
    InstrumentSet,
    OrderCancelled,
    PhaseSet,
    Ticked,
)
from schemas.instruments import InstrumentRules
from schemas.outcome_steps import MakerPrevented, Step, Taking, steps_of
from schemas.units import Side
from tests.support.scenario import PHASES, SYMBOL, Market


def command_of(action: Action, entered: Mapping[str, Entry]) -> Command:
    """The command that a gateway would write; names stand for ids."""
    if isinstance(action, SymbolRules | PhaseChange):
        return _of_operator(action)
    if isinstance(action, Cancel):
        return CancelOrder(action.name, action.name[0])
    if isinstance(action, MassCancel):
        return CancelAll(action.broker, "0" * 16, None, action.side)
    if isinstance(action, Replace):
        entry = entered[action.name]
        return AmendOrder(
            action.name,
            action.name[0],
            "0123456789abcdef",
            action.values.get("quantity"),
            entry.quantity if "quantity" in action.values else None,
            action.values.get("price"),
            post_only=bool(entry.conditions.get("post_only")),
            display_quantity=action.values.get("display_quantity"),
            stop_price=action.values.get("stop_price"),
            waits="stop_price" in entry.conditions,
        )
    order = PlaceOrder(
        order_id=action.name,
        broker_id=action.broker,
        document_number=str(action.conditions.get("document_number", "1")),
        symbol=SYMBOL,
        side=action.side,
        order_type="market" if action.price is None else "limit",
        quantity=action.quantity,
        price=action.price,
    )
    conditions: dict[str, Any] = dict(action.conditions)
    conditions.pop("document_number", None)
    if not conditions:
        return order
    return EnterOrder(**structs.asdict(order), **conditions)


def _of_operator(action: SymbolRules | PhaseChange) -> Command:
    if isinstance(action, PhaseChange):
        return SetPhase(SYMBOL, "0" * 16, PHASES[action.phase])
    fields: dict[str, Any] = dict(action.fields)
    reference = fields.pop("reference_price", None)
    return SetInstrument(SYMBOL, "0" * 16, InstrumentRules(**fields), reference)


class MemoryExchange:
    """One symbol of a market in memory."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._left: dict[str, int] = {}
        self._closed: dict[str, str] = {}
        self._entered: dict[str, Entry] = {}
        self._trades: list[tuple[str, str, int, int]] = []

    def play(self, actions: Sequence[Action]) -> Result:
        """Play the actions one after the other."""
        for offset, action in enumerate(actions):
            command = command_of(action, self._entered)
            if isinstance(action, Entry):
                self._entered[action.name] = action
            self._apply(command, 2 * offset, action)
            if isinstance(command, SetPhase):
                # As a matcher sends it: day orders that a close has ended are due.
                self._apply(Tick(), 2 * offset + 1, action)
        states = {name: self._state(name) for name in self._left.keys() | self._closed.keys()}
        return Result(self._trades, self._levels("bid"), self._levels("ask"), states)

    def _apply(self, command: Command, offset: int, action: Action) -> None:
        outcome = self._market.apply(command, offset, offset)
        for expired in outcome.expired:
            self._closed[expired.order_id] = "expired"
        for step, _ in steps_of(outcome):
            self._step(step, action)

    def _step(self, step: Step, action: Action) -> None:
        if isinstance(step, Taking):
            self._took(step)
        elif isinstance(step, OrderCancelled):
            self._closed[step.order_id] = "cancelled"
        elif isinstance(step, MakerPrevented):
            self._closed[step.order_id] = "self_trade"
        elif not isinstance(step, InstrumentSet | PhaseSet | Ticked):
            assert isinstance(step, CommandRefused)
            amended = "=>" if isinstance(action, Replace) else ""
            self._closed[f"{step.order_id}{amended}"] = step.code

    def _took(self, event: Taking) -> None:
        taker = event.order_id
        for fill in event.fills:
            maker = fill.maker_order_id
            buyer, seller = (taker, maker) if event.side == "bid" else (maker, taker)
            self._trades.append((buyer, seller, fill.quantity, fill.price))
            self._left[maker] = fill.maker_remaining_quantity
        self._left[taker] = event.remaining_quantity
        if event.closed_reason is not None:
            self._closed[taker] = event.closed_reason

    def _state(self, name: str) -> str:
        left = self._left.get(name)
        if left is None:
            return self._closed[name]
        return "filled" if left == 0 else f"{self._closed.get(name, 'open')} {left}"

    def _levels(self, side: Side) -> list[tuple[int, int]]:
        levels = self._market.levels(SYMBOL, side)
        return [(level.total_quantity, level.price) for level in levels]
