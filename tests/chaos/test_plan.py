"""The plan of faults: repeatable, complete, within its bounds."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos.plan import (
    CLOCK_FAULTS,
    CLOCK_JUMP_MS,
    CLOCKS,
    CUT_AFTER_BYTES,
    EXTRA_FAULTS,
    HOLD_MS,
    LINK_FAULTS,
    LINKS,
    PROGRAM_FAULTS,
    PROGRAMS,
    TARGETS,
    USUAL_FAULTS,
    ChaosPlan,
    Choice,
    Fault,
    FaultKind,
    chaos_plan,
)

EVERYTHING: set[tuple[FaultKind, str]] = {
    *((kind, target) for kind in PROGRAM_FAULTS for target in PROGRAMS),
    *((kind, target) for kind in LINK_FAULTS for target in LINKS),
    *((kind, target) for kind in CLOCK_FAULTS for target in CLOCKS),
}


def faults(plan: ChaosPlan) -> list[Fault]:
    return [fault for strike in plan.strikes for fault in strike.faults]


def test_plan_of_a_seed_is_repeatable_and_of_another_is_another() -> None:
    assert chaos_plan(7, 100, 20) == chaos_plan(7, 100, 20)
    assert chaos_plan(7, 100, 20) != chaos_plan(8, 100, 20)


@pytest.mark.parametrize("seed", range(30))
def test_plan_of_any_seed_strikes_every_target_before_one_again(seed: int) -> None:
    struck = [fault.target for fault in faults(chaos_plan(seed, 60, 2 * len(TARGETS)))]
    assert sorted(struck[: len(TARGETS)]) == sorted(TARGETS)
    assert sorted(struck[len(TARGETS) :]) == sorted(TARGETS)


def test_plan_of_six_faults_a_target_has_every_kind_on_every_target() -> None:
    plan = chaos_plan(1, 600, 6 * len(TARGETS))
    assert {(fault.kind, fault.target) for fault in faults(plan)} == EVERYTHING


def test_plan_that_is_asked_for_more_kinds_has_them_too() -> None:
    plan = chaos_plan(1, 600, 7 * len(TARGETS), Choice((*USUAL_FAULTS, *EXTRA_FAULTS)))
    drawn = {(fault.kind, fault.target) for fault in faults(plan)}
    assert drawn == EVERYTHING | {("fill_disk", "kafka"), ("usurp", "matcher")}


def test_plan_of_few_faults_has_every_kind_over_many_seeds() -> None:
    drawn = [fault for seed in range(200) for fault in faults(chaos_plan(seed, 30, 3))]
    assert {(fault.kind, fault.target) for fault in drawn} == EVERYTHING
    assert {fault.detail for fault in drawn if fault.kind == "stall"} == {0, 1}


@pytest.mark.parametrize("seed", range(30))
def test_plan_of_any_seed_keeps_its_bounds(seed: int) -> None:
    plan = chaos_plan(seed, 300, 30)
    assert len(faults(plan)) == 30
    assert all(first.at_ms < second.at_ms for first, second in pairwise(plan.strikes))
    assert plan.strikes[0].at_ms >= 0
    assert plan.strikes[-1].at_ms < 300_000
    for fault in faults(plan):
        assert 0 <= fault.hold_ms <= HOLD_MS[1]
        if fault.kind == "freeze":
            assert fault.hold_ms >= HOLD_MS[0]
        if fault.kind in CLOCK_FAULTS:
            assert abs(fault.detail) == CLOCK_JUMP_MS
        if fault.kind == "cut_after":
            assert CUT_AFTER_BYTES[0] <= fault.detail <= CUT_AFTER_BYTES[1]
    # Two faults of one strike never fight over a target.
    assert all(len({f.target for f in s.faults}) == len(s.faults) for s in plan.strikes)


@pytest.mark.parametrize(("duration_s", "count"), [(0, 1), (1, 0)])
def test_plan_without_time_or_faults_is_refused(duration_s: int, count: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        chaos_plan(1, duration_s, count)


def test_plan_of_chosen_kinds_strikes_the_chosen_targets_equally_often() -> None:
    plan = chaos_plan(3, 60, 200, Choice(("kill",), ("matcher", "sink")))
    drawn = Counter((fault.kind, fault.target) for fault in faults(plan))
    assert drawn == {("kill", "matcher"): 100, ("kill", "sink"): 100}


def test_plan_of_chosen_kinds_alone_strikes_whatever_they_can() -> None:
    drawn = {fault.target for fault in faults(chaos_plan(3, 60, 30, Choice(("kill", "usurp"))))}
    assert drawn == set(PROGRAMS)
    assert {f.target for f in faults(chaos_plan(3, 60, 30, Choice(("cut",))))} == set(LINKS)


def test_plan_one_by_one_has_short_faults_that_wait_for_nothing() -> None:
    plan = chaos_plan(3, 600, 200, Choice(one_by_one=True))
    assert plan.one_by_one
    assert all(strike.at_ms == 0 and len(strike.faults) == 1 for strike in plan.strikes)
    assert all(fault.hold_ms <= HOLD_MS[0] for fault in faults(plan))


@pytest.mark.parametrize(
    "choice",
    [
        Choice(("cut",), ("matcher",)),
        Choice(("kill", "cut"), ("matcher",)),
        Choice(("usurp",), ("matcher", "sink")),
    ],
)
def test_plan_with_a_choice_that_does_not_fit_is_refused(choice: Choice) -> None:
    with pytest.raises(ValueError, match="strikes"):
        chaos_plan(1, 60, 10, choice)
