"""The market of the baseline designs makes the same trades as the exchange's engine."""

import pytest
from msgspec import structs

from benchmarks.designs.market import DesignMarket, DesignOrder
from loadgen.commands import commands
from loadgen.workload.orderflow import Profile, plan
from schemas.commands import CancelOrder, PlaceOrder
from schemas.executions import OrderAccepted
from services.matcher.engine import Engine, EnginePosition

START_MS = 1_795_000_000_000
PROFILE = Profile(
    duration_s=20,
    symbols=3,
    brokers=6,
    cancel_age_ms_mean=800,
    valid_short_percent=20,
    valid_seconds_percent=20,
)
Traded = tuple[str, int, int, str, str]


def order_of(command: PlaceOrder, now_ms: int) -> DesignOrder:
    return DesignOrder(
        **structs.asdict(command),
        remaining_quantity=command.quantity,
        filled_value=0,
        created_at=now_ms,
        updated_at=now_ms,
        closed_reason=None,
        time_in_force=None,
        post_only=False,
        minimum_quantity=None,
        stop_price=None,
        triggered_at=None,
        display_quantity=None,
        displayed_quantity=None,
        self_trade_prevention=None,
        trades_count=0,
        trades=[],
        arrival=0,
    )


def by_engine(flow: list[tuple[int, PlaceOrder | CancelOrder]]) -> list[Traded]:
    engine, made = Engine(0), []
    for offset, (now_ms, command) in enumerate(flow):
        event = engine.apply(command, EnginePosition(0, offset, now_ms)).event
        if isinstance(event, OrderAccepted):
            made += [
                (event.symbol, fill.price, fill.quantity, fill.maker_order_id, event.order_id)
                for fill in event.fills
            ]
    return made


def by_market(
    market: DesignMarket, flow: list[tuple[int, PlaceOrder | CancelOrder]]
) -> list[Traded]:
    made: list[Traded] = []
    for now_ms, command in flow:
        if isinstance(command, PlaceOrder):
            market.place(order_of(command, now_ms), now_ms)
        else:
            market.cancel(market.orders[command.order_id], now_ms)
        made += [
            (each.symbol, each.price, each.quantity, each.maker_order_id, each.taker_order_id)
            for each in market.take_changes().trades
        ]
    return made


@pytest.mark.parametrize("seed", range(5))
def test_market_of_the_designs_trades_as_the_engine_does(seed: int) -> None:
    flow = [
        (now_ms, command)
        for now_ms, command in commands(plan(PROFILE, seed), 0, START_MS)
        if isinstance(command, PlaceOrder | CancelOrder)
    ]
    market = DesignMarket()
    made = by_market(market, flow)
    assert len(made) > 100
    assert made == by_engine(flow), f"seed {seed}"
    # The quantity of each level is the sum of what remains of its orders.
    for book in market.books.values():
        for side, levels in (("bid", book.bids), ("ask", book.asks)):
            resting = [
                o for o in market.orders.values() if (o.symbol, o.side) == (book.symbol, side)
            ]
            left = sum(o.remaining_quantity for o in resting if o.closed_reason is None)
            assert sum(level.total for level in levels.levels.values()) == left
