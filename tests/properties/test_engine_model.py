"""The engine against the naive model and against its invariants, over random flows.

`PROPERTY_SEED` repeats a run, `PROPERTY_COMMANDS` makes it longer or shorter.
"""

import os
import random

import pytest

from services.matcher.engine import Engine, EnginePosition
from tests.properties.flows import flow, random_rules, random_shape
from tests.properties.invariants import InvariantChecker
from tests.support.naive_market import NaiveMarket
from tests.support.scenario import limits_of
from tests.support.sizes import sized

PARTITION = 3
RUNS = 40
FLOW_COMMANDS = 250
COMMANDS = int(os.environ.get("PROPERTY_COMMANDS", sized(20_000, 200_000)))
SEED = int(os.environ.get("PROPERTY_SEED", random.SystemRandom().randrange(1 << 32)))


def check_flow(seed: int) -> int:
    """Check the engine on the flow of `seed` after every command; the number of commands."""
    rng = random.Random(seed)
    shape, rules = random_shape(rng), random_rules(rng)
    engine = Engine(PARTITION, rules)
    model = NaiveMarket(PARTITION, limits_of(rules))
    invariants = InvariantChecker(engine, rules)
    checked = 0
    for step in flow(rng, shape, FLOW_COMMANDS):
        context = f"flow {seed}, {shape}, {rules}, {step}"
        at = EnginePosition(PARTITION, step.offset, step.timestamp)
        outcome = engine.apply(step.command, at)
        assert outcome == model.apply(step.command, step.offset, step.timestamp), context
        try:
            invariants.check(step.command, at, outcome)
        except AssertionError as error:
            raise AssertionError(f"{error}; {context}; {outcome}") from error
        checked += 1
    return checked


@pytest.mark.parametrize("run", range(RUNS))
def test_engine_on_random_flow_equals_model_and_keeps_invariants(run: int) -> None:
    rng = random.Random(f"{SEED}/{run}")
    checked = 0
    while checked < COMMANDS / RUNS:
        flow_seed = rng.getrandbits(64)
        try:
            checked += check_flow(flow_seed)
        except AssertionError as error:
            raise AssertionError(f"PROPERTY_SEED={SEED}: {error}") from error
