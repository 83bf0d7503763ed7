"""Random scenarios of the matcher's protocol pass, and every seeded defect makes some fail.

`SIMULATION_SEED` repeats a run; `python -m tests.simulation` runs many more.
"""

import os
import random
from collections import Counter

import pytest

from schemas.codec import UnreadableError, decode_command
from schemas.executions import OrderEntered, OrdersCancelled, PhaseSet
from schemas.outcome_steps import steps_of
from services.matcher.engine import Engine, EnginePosition
from tests.simulation.__main__ import failures, main
from tests.simulation.defects import DEFECTS, switched_on
from tests.simulation.matcher import NUMBER
from tests.simulation.scenario import commands_of
from tests.support.sizes import is_small, sized

SEED = int(os.environ.get("SIMULATION_SEED", random.SystemRandom().randrange(1 << 31)))
SCENARIOS = sized(300, 2_000)
# Found within a second. The full size runs every defect.
QUICK_DEFECTS = ("an outcome is dropped", "the published position is a trade too low")
# The rarest defect was found after some hundred scenarios.
SCENARIOS_WITH_DEFECT_MAX = 6_000
AT_ONCE = 50
# The rarest kind of outcome occurs once in ten scenarios.
SCENARIOS_COUNTED = 150
OCCURRENCES_MIN = 5
KINDS = (
    "OrderAccepted",
    "OrderEntered",
    "OrderAmended",
    "OrderCancelled",
    "OrderRepeated",
    "OrdersCancelled",
    "StopElected",
    "MakerPrevented",
    "InstrumentSet",
    "QuotasSet",
    "iceberg",
    "halted",
    "closed",
    "expired",
)


def test_scenarios_with_new_seeds_all_pass() -> None:
    assert failures(SEED, SCENARIOS) == [], f"SIMULATION_SEED={SEED}"


def test_outcomes_of_a_lost_claim_are_no_evidence_of_a_position() -> None:
    # The matcher of the lost claim outlives the cut and appends behind the claim that replaced it.
    assert failures(2_095_983_591, 1) == []


@pytest.mark.parametrize("defect", QUICK_DEFECTS if is_small() else DEFECTS)
def test_defect_switched_on_is_found(defect: str) -> None:
    with switched_on(defect):
        found = any(
            failures(SEED + first, AT_ONCE)
            for first in range(0, SCENARIOS_WITH_DEFECT_MAX, AT_ONCE)
        )
    assert found, f"SIMULATION_SEED={SEED}: not found: {defect}"


def test_scenario_with_the_same_seed_fails_the_same() -> None:
    with switched_on("the newest maker trades first"):
        first = failures(0, AT_ONCE)
        assert first
        assert failures(0, AT_ONCE) == first


def test_command_prints_seeds_and_number_of_failures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenarios", "20", "--seed", "5", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "seeds 5 to 24" in printed
    assert "20 scenarios" in printed
    assert "0 failed" in printed


def test_scenarios_contain_every_kind_of_outcome() -> None:
    found: Counter[str] = Counter()
    for seed in range(SCENARIOS_COUNTED):
        found.update(_kinds_of_outcomes(seed))
    rare = {kind: found[kind] for kind in KINDS if found[kind] < OCCURRENCES_MIN}
    assert not rare, "occur too rarely to be tested"


def _kinds_of_outcomes(seed: int) -> Counter[str]:
    engine, found = Engine(NUMBER), Counter[str]()
    for offset, (timestamp, value) in enumerate(commands_of(random.Random(seed))):
        try:
            command = decode_command(value)
        except UnreadableError:
            command = None
        outcome = engine.apply(command, EnginePosition(NUMBER, offset, timestamp))
        found["expired"] += len(outcome.expired)
        found["OrdersCancelled"] += isinstance(outcome.event, OrdersCancelled)
        for step, _ in steps_of(outcome):
            found[type(step).__name__] += 1
            if isinstance(step, PhaseSet):
                found[step.phase] += 1
            found["iceberg"] += isinstance(step, OrderEntered) and step.display_quantity is not None
    return found
