"""Coverage of the random flows: every kind of event, refusal and closing occurs often in them."""

import random
from collections import Counter
from typing import get_args

from schemas.commands import EnterOrder
from schemas.executions import (
    CommandRefused,
    OrderAccepted,
    OrderAmended,
    OrderEntered,
    OrdersCancelled,
    Outcome,
    PhaseSet,
    RefusalCode,
    StopElected,
)
from schemas.outcome_steps import is_parked, steps_of
from schemas.units import ClosedReason
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.properties.flows import flow, random_rules, random_shape
from tests.support.sizes import sized

FLOWS = sized(350, 1_400)
FLOW_COMMANDS = 200
OCCURRENCES_MIN = sized(1, 20)


def kinds_seen(seed: int) -> Counter[str]:
    """Number of occurrences of each kind of event and closing reason."""
    seen: Counter[str] = Counter()
    rng = random.Random(seed)
    shape, rules = random_shape(rng), random_rules(rng)
    engine = Engine(0, rules)
    for step in flow(rng, shape, FLOW_COMMANDS):
        outcome = engine.apply(step.command, EnginePosition(0, step.offset, step.timestamp))
        event = outcome.event
        seen[type(event).__name__] += 1
        seen["expiries"] += len(outcome.expired)
        seen.update(elections_seen(outcome))
        if isinstance(event, OrdersCancelled):
            seen["mass cancels of several"] += len(event.orders) > 1
            seen["mass cancels with more"] += event.more
        if isinstance(event, PhaseSet):
            seen.update(phases_seen(event, outcome, engine))
        seen["expired above the limit"] += len(outcome.expired) > rules.expiries_max
        if isinstance(event, CommandRefused):
            seen[event.code] += 1
        if isinstance(step.command, EnterOrder):
            seen[f"{type(event).__name__} of conditions"] += 1
        if isinstance(event, OrderEntered):
            seen.update(conditions_seen(event))
        if isinstance(event, OrderAmended):
            seen.update(amendments_seen(event))
        seen.update(protections_seen(outcome))
        if isinstance(event, OrderAccepted):
            seen[str(event.closed_reason)] += 1
            seen["fills"] += len(event.fills)
            seen["sweeps"] += len({fill.price for fill in event.fills}) > 1
            # An order is taken from again only by its next slice.
            makers = {fill.maker_order_id for fill in event.fills}
            seen["slices after others"] += len(event.fills) - len(makers)
    return seen


def elections_seen(outcome: Outcome) -> Counter[str]:
    """Stop orders that were parked or elected."""
    event = outcome.event
    found = Counter(parked=isinstance(event, OrderEntered) and is_parked(event))
    found["elections carried over"] = len(outcome.before)
    found["elections in a cascade"] = max(0, len(outcome.after) - 1)
    for elected in (*outcome.before, *outcome.after):
        partly = " partly" if elected.fills and elected.remaining_quantity else ""
        found[f"stop {elected.closed_reason}{partly}"] += 1
    return found


def phases_seen(event: PhaseSet, outcome: Outcome, engine: Engine) -> Counter[str]:
    """The change of phase, and what came of it."""
    state, expiries_max = engine.snapshot(), engine.rules.expiries_max
    what = "again" if event.phase == event.previous else f"after {event.previous}"
    found = Counter([f"{event.phase} {what}"])
    found["stops elected by a return"] = bool(outcome.after)
    ends = {order.order_id: order.valid_until for order in state.orders}
    ended = sum(ends.get(name) is not None for name in state.day_orders)
    found["ended orders"] = ended
    found["ended orders carried over"] = ended > expiries_max
    held = [stop for stop in state.stops if stop.trigger_price]
    found["stops held"] = any(stop.order.symbol == event.symbol for stop in held)
    return found


def amendments_seen(event: OrderAmended) -> Counter[str]:
    """The end of an amendment: `amended kept cut`, `amended moved filled`."""
    place = "kept" if event.kept_priority else "moved"
    changed = "cut" if event.former_price is not None else "unchanged"
    end = changed if event.kept_priority else str(event.closed_reason)
    partly = " partly" if event.fills and event.remaining_quantity else ""
    iceberg = "" if event.display_quantity is None else " iceberg"
    if event.stop_price is not None:
        return Counter([f"amended stop {place} {event.closed_reason}"])
    return Counter([f"amended {place} {end}{partly}", f"amended{iceberg} {place} {end}"])


def conditions_seen(event: OrderEntered) -> Counter[str]:
    """The end of each condition of the order: `fok filled`, `minimum no_liquidity`."""
    kinds = {
        event.time_in_force or "": event.time_in_force is not None,
        "post_only": event.post_only,
        "minimum": event.minimum_quantity is not None,
        "iceberg": event.display_quantity is not None,
        "iceberg post_only": event.display_quantity is not None and event.post_only,
        f"{event.order_type} minimum": event.minimum_quantity is not None,
    }
    partly = " partly" if event.fills and event.remaining_quantity else ""
    return Counter(f"{kind} {event.closed_reason}{partly}" for kind, has in kinds.items() if has)


def protections_seen(outcome: Outcome) -> Counter[str]:
    """Counts of own orders and of bands that orders came to."""
    seen: Counter[str] = Counter()
    for step, _ in steps_of(outcome):
        if isinstance(step, OrderEntered | OrderAmended | StopElected):
            seen.update(protection_seen(step))
    return seen


def protection_seen(step: OrderEntered | OrderAmended | StopElected) -> Counter[str]:
    """`OrderEntered prevented`, `cancel_maker closed`, `StopElected price_band partly`, ..."""
    name = type(step).__name__
    partly = " partly" if step.fills else ""
    seen = Counter([f"{name} price_band{partly}"] if step.closed_reason == "price_band" else [])
    for one in step.prevented:
        seen[f"{name} prevented"] += 1
        stays = "closed" if one.quantity else "stayed"
        mode = step.self_trade_prevention if isinstance(step, OrderEntered) else "other"
        seen[f"{mode} {stays}"] += 1
        seen["prevented behind a fill"] += one.after_fills > 0
    if isinstance(step, OrderEntered) and step.prevented:
        seen[f"{step.self_trade_prevention} taker {step.closed_reason}"] += 1
    return seen


def test_flows_of_many_seeds_contain_every_kind_often() -> None:
    total: Counter[str] = Counter()
    for seed in range(FLOWS):
        total.update(kinds_seen(seed))
    wanted = [
        *get_args(RefusalCode),
        *get_args(ClosedReason),
        *("None", "OrderCancelled", "OrderRepeated", "Ticked", "InstrumentSet"),
        *("OrdersCancelled", "mass cancels of several", "mass cancels with more"),
        *("OrderEntered", "OrderRepeated of conditions", "CommandRefused of conditions"),
        *("ioc filled", "ioc no_liquidity", "ioc no_liquidity partly", "ioc cancelled partly"),
        *("fok filled", "fok no_liquidity", "post_only None", "post_only expired"),
        *("minimum filled", "minimum None partly", "minimum no_liquidity", "minimum expired"),
        *("minimum no_liquidity partly", "market minimum no_liquidity"),
        *("OrderAmended", "amended kept cut", "amended kept unchanged", "amended moved None"),
        *("amended moved None partly", "amended moved filled", "amended moved cancelled"),
        "amended moved expired",
        *("iceberg None", "iceberg None partly", "iceberg filled", "iceberg expired"),
        *("iceberg post_only None", "slices after others", "amended iceberg kept cut"),
        *("amended iceberg kept unchanged", "amended iceberg moved None"),
        *("amended stop kept None", "amended stop moved None", "amended stop moved expired"),
        *("expiries", "expired above the limit", "fills", "sweeps"),
        *("PhaseSet", "continuous after halted", "continuous after closed", "halted again"),
        *("halted after continuous", "closed after halted", "closed after continuous"),
        *("stops elected by a return", "ended orders", "ended orders carried over"),
        *("day None", "day filled", "post_only None", "stops held"),
        *("parked", "elections carried over", "elections in a cascade", "stop None"),
        *("OrderEntered prevented", "OrderAmended prevented", "StopElected prevented"),
        *("cancel_taker stayed", "cancel_maker closed", "cancel_both closed"),
        *("cancel_taker taker self_trade", "cancel_both taker self_trade"),
        *("cancel_maker taker None", "cancel_maker taker filled", "prevented behind a fill"),
        *("OrderEntered price_band", "OrderEntered price_band partly", "OrderAmended price_band"),
        "StopElected price_band",
        *("stop filled", "stop no_liquidity", "stop cancelled partly", "stop None partly"),
    ]
    rare = {kind: total[kind] for kind in wanted if total[kind] < OCCURRENCES_MIN}
    assert rare == {}, total


def test_flow_with_the_same_seed_is_the_same() -> None:
    first, second = ([*flow(rng, random_shape(rng), 100)] for rng in map(random.Random, (7, 7)))
    assert first == second


def test_random_rules_of_many_seeds_are_those_of_production_in_half_of_them() -> None:
    rules = [random_rules(random.Random(seed)) for seed in range(100)]
    assert 30 < sum(one.fills_max == Rules().fills_max for one in rules) < 70
