"""Iceberg orders on the engine and on its reference model."""

import random

import pytest

from conformance.icebergs import INCREMENTS, SCENARIOS
from conformance.scenarios import Scenario as OrderScenario
from schemas.codec import UnreadableError, decode_command, encode
from schemas.commands import AmendOrder, EnterOrder, PlaceOrder
from services.matcher.book import BookSide, IcebergOrder
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.support.naive_market import NaiveMarket
from tests.support.order_scenarios import MemoryExchange
from tests.support.orders import START_MS, broker_id
from tests.support.scenario import EngineMarket, Scenario, limits_of


@pytest.mark.parametrize("scenario", [*SCENARIOS, *INCREMENTS], ids=lambda one: one.name)
def test_scenario_on_engine_and_model_has_the_expected_result(scenario: OrderScenario) -> None:
    scenario.check(MemoryExchange(NaiveMarket(0, limits_of(Rules()))))
    scenario.check(MemoryExchange(EngineMarket(Rules())))


BOUNDS = {
    "each_slice_is_a_step_of_the_bound_on_fills": Scenario(
        """
        1 | sell 6 @ 101 by ann as a1 show 2 | rests 6
        2 | buy 6 @ 101 by bob as b1 is fok  | no_liquidity 6
        2 | buy 5 @ 101 by bob as b2 min 5   | no_liquidity 5
        2 | buy 6 @ 101 by bob as b3         | 2@101 a1; 2@101 a1; cancelled 2
        book | - | 2@101x1
        2 | buy 2 @ 101 by bob as b4 is fok  | 2@101 a1; filled
        """,
        Rules(fills_max=2),
    ),
    "an_order_that_is_due_leaves_with_its_hidden_part": Scenario(
        """
        1  | sell 5 @ 101 by ann as a1 until 10        | rests 5
        1  | sell 9 @ 101 by ann as a2 until 10 show 3 | rests 9
        1  | sell 5 @ 101 by ann as a3 show 2          | rests 5
        10 | buy 6 @ 101 by bob as b1 is fok | expired a1 5; no_liquidity 6
        10 | buy 5 @ 101 by bob as b2 is fok | expired a2 9; 2@101 a3; 2@101 a3; 1@101 a3; filled
        """,
        Rules(expiries_max=1),
    ),
    "an_amended_iceberg_order_that_crosses_takes_and_shows_a_full_slice": Scenario(
        """
        1 | buy 9 @ 99 by ann as a1 show 4  | rests 9
        1 | sell 3 @ 101 by bob as b1       | rests 3
        2 | amend a1 by ann @ 101           | 3@101 b1; moved 6
        book | 4@101x1 | -
        3 | amend a1 by ann to 20 of 9      | moved 17
        book | 4@101x1 | -
        4 | amend a1 by ann show 0          | kept 17
        4 | amend a1 by ann show 0          | kept 17
        4 | amend a1 by ann show 2          | refused not_amendable
        5 | amend a1 by ann @ 100           | moved 17
        book | 17@100x1 | -
        """
    ),
}


@pytest.mark.parametrize("scenario", BOUNDS.values(), ids=BOUNDS.keys())
def test_scenario_of_bounds_has_the_expected_outcomes(scenario: Scenario) -> None:
    scenario.check()


def test_level_of_many_slices_keeps_its_queue_short() -> None:
    side = BookSide("ask")
    for number in range(40):
        order = IcebergOrder(f"{number}", "", "", "ask", 50, 1, None, number, "", None, 1, 99)
        side.add(order)
    level = side.best
    assert level is not None
    for step in range(3_000):
        oldest = level.oldest()
        assert oldest.order_id == str(step % 40)
        side.take(level, oldest, 1)
        assert len(level.queue) <= 40 + 40 // 4 + 1
        assert (level.count, level.total) == (40, 40)


def iceberg(**more: object) -> EnterOrder:
    fields = {"order_type": "limit", "quantity": 300, "price": 50, "display_quantity": 10} | more
    order = "018bcfe5-6800-7003-8000-000000000001"
    return EnterOrder(order, broker_id(1), "1", "PETR4", "ask", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "order",
    [
        iceberg(display_quantity=301),
        iceberg(display_quantity=2),
        iceberg(time_in_force="ioc"),
        iceberg(time_in_force="fok"),
        iceberg(minimum_quantity=5),
        iceberg(order_type="market", price=None),
        iceberg(stop_price=60),
        iceberg(display_quantity=0),
    ],
)
def test_record_of_an_iceberg_order_that_contradicts_itself_is_unreadable(
    order: EnterOrder,
) -> None:
    assert decode_command(encode(iceberg())) == iceberg()
    with pytest.raises(UnreadableError):
        decode_command(encode(order))


@pytest.mark.parametrize(("quantity", "display"), [(5, 6), (501, 5), (None, -1)])
def test_record_of_an_amendment_with_an_unfitting_display_is_unreadable(
    quantity: int | None, display: int
) -> None:
    order, former = iceberg(), None if quantity is None else 300
    ids = (order.order_id, order.broker_id, "0" * 16)
    with pytest.raises(UnreadableError):
        decode_command(encode(AmendOrder(*ids, quantity, former, display_quantity=display)))


def test_restored_engine_continues_the_slices() -> None:
    engine = Engine(0)
    engine.apply(iceberg(), EnginePosition(0, 0, START_MS))
    rng = random.Random(3)
    for offset in range(1, 150):
        assert engine.snapshot().has_controls == bool(engine.open_orders)
        restored = Engine.restore(engine.snapshot())
        assert restored.digest() == engine.digest() == engine.snapshot().digest()
        taker = PlaceOrder(
            f"{offset}", broker_id(2), "1", "PETR4", "bid", "market", rng.randint(1, 4)
        )
        at = EnginePosition(0, offset, START_MS + offset)
        assert restored.apply(taker, at) == engine.apply(taker, at)
        engine = restored
    assert not engine.open_orders
