"""Market scenarios as text tables: commands in, outcomes and books out, compared as text.

A line is `time | command | outcome` or `book [SYMBOL] | bids | asks`; columns may be padded.
The same table runs on the engine and on the naive model.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct, structs

from schemas.book import Level
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
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRepeated,
    OrdersCancelled,
    Outcome,
    PhaseSet,
    QuotasSet,
    SingleEvent,
    StopElected,
    Ticked,
)
from schemas.instruments import InstrumentRules, Phase
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Taking, is_parked, steps_of
from schemas.units import SelfTradePrevention, Side, TimeInForce
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.naive_state import NaiveRules

SYMBOL: Final = "PETR4"
PHASES: Final[dict[str, Phase]] = {
    "continuous": "continuous",
    "halted": "halted",
    "closed": "closed",
}
IN_FORCE: Final[dict[str, TimeInForce]] = {"ioc": "ioc", "fok": "fok", "day": "day"}
SIDES: Final[dict[str, Side]] = {"buy": "bid", "sell": "ask"}


class Market(Protocol):
    """Market that can play a scenario."""

    def apply(self, command: Command | None, offset: int, timestamp: int) -> Outcome: ...

    def levels(self, symbol: str, side: Side) -> list[Level]: ...


class EngineMarket:
    """The engine as a market of a scenario."""

    def __init__(self, rules: Rules) -> None:
        self.engine = Engine(0, rules)

    def apply(self, command: Command | None, offset: int, timestamp: int) -> Outcome:
        return self.engine.apply(command, EnginePosition(0, offset, timestamp))

    def levels(self, symbol: str, side: Side) -> list[Level]:
        book = self.engine.books.get(symbol)
        return [] if book is None else list(book.levels(side, 1_000))


def limits_of(rules: Rules) -> NaiveRules:
    """The model's limits that mean the same as the engine's rules."""
    return NaiveRules(
        fills_max=rules.fills_max,
        expiries_max=rules.expiries_max,
        elections_max=rules.elections_max,
        cancels_max=rules.cancels_max,
        client_ids_max=rules.client_ids_max,
        client_id_window_ms=rules.client_id_window_ms,
        client_id_block=rules.client_id_block,
        order_id_window_ms=rules.order_id_window_ms,
    )


class Scenario(Struct, frozen=True):
    """A table and the engine's rules for it."""

    table: str
    rules: Rules = Rules()

    def markets(self) -> Iterator[Market]:
        yield NaiveMarket(0, limits_of(self.rules))
        yield EngineMarket(self.rules)

    def check(self) -> None:
        """Play the table on both markets. Fails unless the resulting text equals the table."""
        expected = [_cells(line) for line in self.table.strip().splitlines()]
        for market in self.markets():
            played = [_play(market, offset, cells) for offset, cells in enumerate(expected)]
            assert played == expected, type(market).__name__


def _cells(line: str) -> tuple[str, ...]:
    return tuple(" ".join(cell.split()) for cell in line.split("|"))


def _play(market: Market, offset: int, cells: tuple[str, ...]) -> tuple[str, ...]:
    first, second, _ = cells
    if first.startswith("book"):
        symbol = first.removeprefix("book").strip() or SYMBOL
        sides = [_levels_text(market.levels(symbol, side)) for side in SIDES.values()]
        return first, *sides
    outcome = market.apply(command_of(second), offset, int(first))
    return first, second, outcome_text(outcome)


def command_of(text: str) -> Command | None:
    """Parse `buy 5 @ 101 by ann as a1`, `sell 5 by bob as b1` (market), `cancel a1 by ann`, ...

    An order may continue with `in SYMBOL`, `until TIME`, `client ID`, `doc NUMBER`, `min QUANTITY`,
    `stop PRICE`, `show QUANTITY`, `for day`, `own` with a self-trade prevention, and `is` with
    `ioc`, `fok` or `post_only`. `amend a1 by ann to 3 of 5 @ 102 until TIME show QUANTITY stop
    PRICE` has at least one of its values, and `is post_only` or `is waiting`. `instrument 100
    in SYMBOL band PPM` sets one with this reference price; `phase halted in SYMBOL after
    continuous` expects a phase. `cancel all by ann` may continue with `in SYMBOL` and `side
    buy`.
    """
    verb, *words = text.split()
    match verb:
        case "garbage":
            return None
        case "tick":
            return Tick()
        case "cancel":
            return _cancel(words)
        case "amend":
            return _amendment(words)
        case "instrument" | "phase":
            return _of_operator(verb, words)
        case _:
            return _order(SIDES[verb], words)


def _cancel(words: list[str]) -> CancelOrder | CancelAll:
    if words[0] != "all":
        return CancelOrder(order_id=words[0], broker_id=words[2])
    fields = dict(zip(words[1::2], words[2::2], strict=True))
    side = SIDES[fields["side"]] if "side" in fields else None
    return CancelAll(fields["by"], "0" * 16, fields.get("in"), side)


def _of_operator(verb: str, words: list[str]) -> SetInstrument | SetPhase:
    fields = dict(zip(words[1::2], words[2::2], strict=True))
    if verb == "instrument":
        rules = InstrumentRules(band_ppm=int(fields["band"]) if "band" in fields else None)
        symbol = fields.get("in", SYMBOL)
        return SetInstrument(symbol, "0" * 16, rules, int(words[0]))
    expected = PHASES[fields["after"]] if "after" in fields else None
    return SetPhase(fields.get("in", SYMBOL), "0" * 16, PHASES[words[0]], expected)


def _amendment(words: list[str]) -> AmendOrder:
    fields = dict(zip(words[1::2], words[2::2], strict=True))
    names = ("to", "of", "@", "until", "show", "stop")
    number = {name: int(fields[name]) for name in names if name in fields}
    return AmendOrder(
        words[0],
        fields["by"],
        "0123456789abcdef",
        number.get("to"),
        number.get("of"),
        number.get("@"),
        number.get("until"),
        fields.get("is") == "post_only",
        number.get("show"),
        number.get("stop"),
        "stop" in number or fields.get("is") == "waiting",
    )


def _order(side: Side, words: list[str]) -> PlaceOrder:
    fields = dict(zip(words[1::2], words[2::2], strict=True))
    order = PlaceOrder(
        order_id=fields["as"],
        broker_id=fields["by"],
        document_number=fields.get("doc", "1"),
        symbol=fields.get("in", SYMBOL),
        side=side,
        order_type="limit" if "@" in fields else "market",
        quantity=int(words[0]),
        client_order_id=fields.get("client"),
    )
    if "@" in fields:
        order = structs.replace(order, price=int(fields["@"]))
    if "until" in fields:
        order = structs.replace(order, valid_until=int(fields["until"]))
    if not fields.keys() & {"is", "min", "stop", "show", "own", "for"}:
        return order
    kind = fields.get("is")
    return EnterOrder(
        **structs.asdict(order),
        time_in_force=IN_FORCE.get(kind or fields.get("for") or ""),
        post_only=kind == "post_only",
        minimum_quantity=int(fields["min"]) if "min" in fields else None,
        stop_price=int(fields["stop"]) if "stop" in fields else None,
        display_quantity=int(fields["show"]) if "show" in fields else None,
        self_trade_prevention=_mode(fields.get("own")),
    )


def _mode(text: str | None) -> SelfTradePrevention | None:
    return None if text is None else msgspec.convert(text, SelfTradePrevention)


def outcome_text(outcome: Outcome) -> str:
    """Expiries, fills and the event of an outcome: `expired a1 5; 3@101 b1; rests 2`.

    A stop that was elected, before or after the event: `elected c1 at 101: 3@102 b2, filled`. An
    own order that closed in place of a trade, behind the order that took: `prevented a1 5`.
    Orders that were cancelled together: `cancelled a1 5, a2 3 and more`.
    """
    parts = [f"expired {one.order_id} {one.remaining_quantity}" for one in outcome.expired]
    mass = outcome.event if isinstance(outcome.event, OrdersCancelled) else None
    for step, trades in steps_of(outcome):
        if mass is not None and isinstance(step, OrderCancelled):
            # As one text, behind the stops that were elected before.
            continue
        if isinstance(step, MakerPrevented):
            parts.append(f"prevented {step.order_id} {step.remaining_quantity}")
        elif isinstance(step, StopElected):
            took = ", ".join([*_fills_text(trades), _end_text(step)])
            parts.append(f"elected {step.order_id} at {step.trigger_price}: {took}")
        else:
            parts += [*_fills_text(trades), _event_text(step)]
    if mass is not None:
        parts.append(_cancelled_text(mass))
    return "; ".join(parts)


def _cancelled_text(event: OrdersCancelled) -> str:
    orders = ", ".join(f"{one.order_id} {one.remaining_quantity}" for one in event.orders)
    return f"cancelled {orders or 'none'}{' and more' if event.more else ''}"


def _fills_text(trades: Sequence[ExecutedTrade]) -> list[str]:
    fills = [trade.fill for trade in trades]
    return [f"{fill.quantity}@{fill.price} {fill.maker_order_id}" for fill in fills]


def _end_text(event: Taking) -> str:
    if event.closed_reason == "filled":
        return "filled"
    parked = isinstance(event, OrderAccepted) and is_parked(event)
    what = event.closed_reason or ("waits" if parked else "rests")
    return f"{what} {event.remaining_quantity}"


def _event_text(event: SingleEvent) -> str:
    match event:
        case OrderAccepted():
            return _end_text(event)
        case OrderAmended():
            place = "kept" if event.kept_priority else event.closed_reason or "moved"
            return place if place == "filled" else f"{place} {event.remaining_quantity}"
        case OrderCancelled():
            return f"cancelled {event.remaining_quantity}"
        case OrderRepeated():
            return f"repeated {event.original_order_id}"
        case CommandRefused():
            return " ".join(["refused", event.code, event.original_order_id or ""]).strip()
        case _:
            return _other_event_text(event)


def _other_event_text(event: InstrumentSet | PhaseSet | QuotasSet | Ticked) -> str:
    match event:
        case PhaseSet():
            return f"{event.phase} after {event.previous}"
        case InstrumentSet():
            return "instrument"
        case QuotasSet():
            return "quotas"
        case Ticked():
            return "ticked"


def _levels_text(levels: list[Level]) -> str:
    return " ".join(f"{one.total_quantity}@{one.price}x{one.order_count}" for one in levels) or "-"
