"""Load plans: repeatable, in the proportions of the profile, with cancels of planned orders."""

from collections import Counter

import pytest
from msgspec import structs

from loadgen.commands import commands
from loadgen.workload.arrivals import Bursts
from loadgen.workload.orderflow import (
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedRead,
    PlannedReplace,
    Profile,
    book,
    plan,
)
from loadgen.workload.profiles import B3, NAMED, scaled
from schemas.codec import decode_command, encode
from schemas.commands import AmendOrder, CancelOrder, PlaceOrder
from schemas.executions import CommandRefused
from services.matcher.engine import Engine, EnginePosition

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


def test_plan_has_prices_for_limit_orders_only() -> None:
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


def test_plan_cancels_an_earlier_order_of_the_same_broker_at_most_once() -> None:
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
def test_empty_plan_is_refused(nothing: Profile) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plan(nothing, SEED)


def test_plan_of_more_symbols_than_known_generates_names() -> None:
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


def test_plan_reads_are_of_the_kinds_of_the_profile_and_of_own_earlier_orders() -> None:
    made = plan(scaled(B3, 100, 20), SEED)
    reads = [action for action in made.actions if isinstance(action, PlannedRead)]
    counts = Counter(read.read for read in reads)
    assert len(reads) / len(orders_of(made)) == pytest.approx(28 / 53, rel=0.05)
    assert counts["read_order"] / len(reads) == pytest.approx(0.35, abs=0.03)
    assert counts["read_price"] / len(reads) == pytest.approx(0.30, abs=0.03)
    assert counts["read_book"] / len(reads) == pytest.approx(0.25, abs=0.03)
    assert counts["read_balance"] / len(reads) == pytest.approx(0.10, abs=0.03)
    for read in reads:
        if read.read == "read_order":
            target = made.actions[read.subject]
            assert isinstance(target, PlannedOrder)
            assert target.broker == read.broker
            assert target.at_us < read.at_us


def test_profile_of_conditions_has_them_in_their_proportions() -> None:
    made = plan(scaled(NAMED["conditions"], 100, 20), SEED)
    limits = [order for order in orders_of(made) if order.order_type == "limit"]
    replaced = [action for action in made.actions if isinstance(action, PlannedReplace)]
    counts = {
        "ioc": sum(order.time_in_force == "ioc" for order in limits),
        "fok": sum(order.time_in_force == "fok" for order in limits),
        "iceberg": sum(order.display_quantity is not None for order in limits),
        "stop": sum(order.stop_price is not None for order in limits),
    }
    found = {name: count / len(limits) for name, count in counts.items()}
    found["replace"] = len(replaced) / len(orders_of(made))
    wanted = {"ioc": 0.2, "fok": 0.05, "iceberg": 0.05, "stop": 0.05, "replace": 0.1}
    assert found == pytest.approx(wanted, rel=0.15)
    assert not any(order.post_only or order.minimum_quantity for order in limits)


def test_replacements_of_a_plan_change_orders_that_the_engine_has_open() -> None:
    profile = structs.replace(NAMED["conditions"], symbols=3, brokers=4, orders_per_s=200)
    made = plan(scaled(profile, 100, 10), SEED)
    engine, events = Engine(1), Counter[str]()
    for offset, (now_ms, command) in enumerate(commands(made, 1, 1_700_000_000_000)):
        assert decode_command(encode(command)) == command
        event = engine.apply(command, EnginePosition(1, offset, now_ms)).event
        if isinstance(command, AmendOrder):
            name = event.code if isinstance(event, CommandRefused) else type(event).__name__
            events[name] += 1
    assert events["OrderAmended"] > 50
    assert events.keys() <= {"OrderAmended", "order_not_open", "stop_would_trigger"}


def test_initial_book_rests_on_both_sides_of_every_symbol_without_trades() -> None:
    filling = orders_of(book(scaled(B3, 100, 20), SEED))
    assert len(filling) == 4 * 450
    for symbol in range(450):
        own = [order for order in filling if order.symbol == symbol]
        bids = [order.price or 0 for order in own if order.side == "bid"]
        asks = [order.price or 0 for order in own if order.side == "ask"]
        assert len(bids) == len(asks) == 2
        assert 0 < max(bids) < min(asks)


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (Profile(passive_percent=90, crossing_percent=20), "more than 100"),
        (Profile(read_order_percent=90), "more than 100"),
        (Profile(valid_short_percent=90), "more than 100"),
        (Profile(bursts=Bursts(100, 100, 200)), "shorter"),
    ],
)
def test_plan_of_a_contradictory_profile_is_refused(profile: Profile, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        plan(profile, SEED)
