"""The plan: repeatable, shaped as the profile says, with cancels that can be resolved."""

from collections import Counter

import pytest

from loadgen.commands import commands
from loadgen.orderflow import Plan, PlannedCancel, PlannedOrder, Profile, plan
from schemas.codec import decode_command, encode
from schemas.commands import CancelOrder, PlaceOrder

SEED = 7
PROFILE = Profile(duration_s=20)


def orders_of(made: Plan) -> list[PlannedOrder]:
    return [action for action in made.actions if isinstance(action, PlannedOrder)]


def test_plan_of_one_seed_is_always_the_same() -> None:
    assert plan(PROFILE, SEED) == plan(PROFILE, SEED)
    assert plan(PROFILE, SEED) != plan(PROFILE, SEED + 1)


def test_plan_times_rise_and_end_with_the_duration() -> None:
    times = [action.at_us for action in plan(PROFILE, SEED).actions]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 20_000_000


def test_plan_sends_the_rate_and_mix_of_the_profile() -> None:
    made = plan(PROFILE, SEED)
    orders = orders_of(made)
    cancels = len(made.actions) - len(orders)
    assert len(orders) == pytest.approx(6_000, rel=0.05)
    assert cancels / len(orders) == pytest.approx(19 / 53, rel=0.1)
    market = sum(order.order_type == "market" for order in orders)
    assert market / len(orders) == pytest.approx(0.05, abs=0.01)
    short = sum(order.valid_ms is not None and order.valid_ms < 1_000 for order in orders)
    assert short / len(orders) == pytest.approx(0.1, abs=0.02)


def test_plan_prices_market_orders_never_and_limit_orders_always() -> None:
    for order in orders_of(plan(PROFILE, SEED)):
        assert (order.price is None) == (order.order_type == "market")
        assert order.price is None or order.price > 0


def test_plan_symbols_follow_the_skew() -> None:
    made = plan(PROFILE, SEED)
    counts = Counter(order.symbol for order in orders_of(made))
    assert made.symbols[0] == "PETR4"
    assert len(made.symbols) == len(set(made.symbols)) == 50
    share = made.shares()["PETR4"] / 1_000_000
    assert counts[0] / len(orders_of(made)) == pytest.approx(share, rel=0.1)
    assert sum(made.shares().values()) <= 1_000_000


def test_plan_cancels_aim_once_at_an_older_order_of_the_same_broker() -> None:
    made = plan(PROFILE, SEED)
    aimed: set[int] = set()
    for action in made.actions:
        if isinstance(action, PlannedCancel):
            target = made.actions[action.order]
            assert isinstance(target, PlannedOrder)
            assert target.broker == action.broker
            assert target.at_us + 50_000 <= action.at_us
            assert action.order not in aimed
            aimed.add(action.order)
    assert aimed


def test_plan_client_order_ids_are_unique() -> None:
    ids = [order.client_order_id for order in orders_of(plan(PROFILE, SEED))]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "nothing",
    [Profile(brokers=0), Profile(symbols=0), Profile(orders_per_s=0), Profile(duration_s=0)],
)
def test_plan_of_nothing_is_refused(nothing: Profile) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plan(nothing, SEED)


def test_plan_of_more_symbols_than_known_makes_names_up() -> None:
    made = plan(Profile(symbols=450, duration_s=1), SEED)
    assert len(set(made.symbols)) == 450


def test_commands_of_a_plan_are_valid_and_refer_to_each_other() -> None:
    made = plan(Profile(duration_s=2), SEED)
    placed: set[str] = set()
    for _, command in commands(made, partition=1, start_ms=1_700_000_000_000):
        assert decode_command(encode(command)) == command
        if isinstance(command, PlaceOrder):
            placed.add(command.order_id)
        elif isinstance(command, CancelOrder):
            assert command.order_id in placed
