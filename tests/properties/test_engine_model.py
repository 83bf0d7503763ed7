"""The engine against the naive model and against its invariants, over random flows.

`PROPERTY_SEED` repeats a run, `PROPERTY_COMMANDS` makes it longer or shorter.
"""

import os
import random

import pytest

from services.matcher.engine import Engine, EnginePosition
from tests.properties.audit import Audit
from tests.properties.flows import flow, random_rules, random_shape
from tests.support.naive_market import NaiveMarket
from tests.support.scenario import limits_of
from tests.support.sizes import sized

PARTITION = 3
RUNS = 40
FLOW_COMMANDS = 250
COMMANDS = int(os.environ.get("PROPERTY_COMMANDS", sized(20_000, 200_000)))
SEED = int(os.environ.get("PROPERTY_SEED", random.SystemRandom().randrange(1 << 32)))


def play(seed: int) -> int:
    """One flow from `seed` through engine, model and audit; the number of commands played."""
    rng = random.Random(seed)
    shape, rules = random_shape(rng), random_rules(rng)
    engine = Engine(PARTITION, rules)
    model = NaiveMarket(PARTITION, limits_of(rules))
    audit = Audit(engine, rules)
    played = 0
    for step in flow(rng, shape, FLOW_COMMANDS):
        told = f"flow {seed}, {shape}, {rules}, {step}"
        at = EnginePosition(PARTITION, step.offset, step.timestamp)
        outcome = engine.apply(step.command, at)
        assert outcome == model.apply(step.command, step.offset, step.timestamp), told
        try:
            audit.check(step.command, at, outcome)
        except AssertionError as error:
            raise AssertionError(f"{error}; {told}; {outcome}") from error
        played += 1
    return played


@pytest.mark.parametrize("run", range(RUNS))
def test_engine_random_flow_equals_model_and_keeps_invariants(run: int) -> None:
    rng = random.Random(f"{SEED}/{run}")
    played = 0
    while played < COMMANDS / RUNS:
        flow_seed = rng.getrandbits(64)
        try:
            played += play(flow_seed)
        except AssertionError as error:
            raise AssertionError(f"PROPERTY_SEED={SEED}: {error}") from error
