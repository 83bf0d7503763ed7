"""Plan of faults: repeatable, complete, within its bounds."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos.plan import (
    CLOCK_FAULTS,
    CLOCK_JUMP_MS,
    CLOCKS,
    CUT_AFTER_BYTES,
    DEFAULT_FAULTS,
    EXTRA_FAULTS,
    HOLD_MS,
    KAFKA_AHEAD_MS,
    KAFKA_BEHIND_MS,
    LINK_FAULTS,
    LINKS,
    PROGRAM_FAULTS,
    PROGRAMS,
    TARGETS,
    TOPIC_FAULTS,
    TOPICS,
    FaultKind,
    FaultSelection,
    chaos_plan,
)

EVERYTHING: set[tuple[FaultKind, str]] = {
    *((kind, target) for kind in PROGRAM_FAULTS for target in PROGRAMS),
    *((kind, target) for kind in LINK_FAULTS for target in LINKS),
    *((kind, target) for kind in CLOCK_FAULTS for target in CLOCKS),
    *((kind, target) for kind in TOPIC_FAULTS for target in TOPICS),
}


def test_plan_with_the_same_seed_is_the_same_and_with_another_differs() -> None:
    assert chaos_plan(7, 100, 20) == chaos_plan(7, 100, 20)
    assert chaos_plan(7, 100, 20) != chaos_plan(8, 100, 20)


@pytest.mark.parametrize("seed", range(30))
def test_plan_of_any_seed_has_every_target_before_one_repeats(seed: int) -> None:
    targets = [fault.target for fault in chaos_plan(seed, 60, 2 * len(TARGETS)).faults]
    assert sorted(targets[: len(TARGETS)]) == sorted(TARGETS)
    assert sorted(targets[len(TARGETS) :]) == sorted(TARGETS)


def test_plan_of_six_faults_a_target_has_every_kind_on_every_target() -> None:
    plan = chaos_plan(1, 600, 6 * len(TARGETS))
    assert {(fault.kind, fault.target) for fault in plan.faults} == EVERYTHING


def test_plan_with_extra_kinds_selected_contains_them() -> None:
    plan = chaos_plan(1, 600, 7 * len(TARGETS), FaultSelection((*DEFAULT_FAULTS, *EXTRA_FAULTS)))
    drawn = {(fault.kind, fault.target) for fault in plan.faults}
    assert drawn == EVERYTHING | {("fill_disk", "kafka"), ("supersede", "matcher")}


def test_plan_of_few_faults_has_every_kind_over_many_seeds() -> None:
    drawn = [fault for seed in range(200) for fault in chaos_plan(seed, 30, 3).faults]
    assert {(fault.kind, fault.target) for fault in drawn} == EVERYTHING
    assert {fault.detail for fault in drawn if fault.kind == "stall"} == {0, 1}


def test_plan_of_kafkas_clock_has_errors_that_the_market_tolerates_in_both_directions() -> None:
    plan = chaos_plan(1, 600, 50, FaultSelection(CLOCK_FAULTS, ("kafka",)))
    errors = [fault.detail for fault in plan.faults]
    assert all(
        KAFKA_AHEAD_MS[0] <= error <= KAFKA_AHEAD_MS[1]
        or KAFKA_BEHIND_MS[0] <= -error <= KAFKA_BEHIND_MS[1]
        for error in errors
    )
    assert min(errors) < 0 < max(errors)


@pytest.mark.parametrize("seed", range(30))
def test_plan_of_any_seed_keeps_its_bounds(seed: int) -> None:
    plan = chaos_plan(seed, 300, 30)
    assert len(plan.faults) == 30
    assert all(first.at_ms < second.at_ms for first, second in pairwise(plan.groups))
    assert plan.groups[0].at_ms >= 0
    assert plan.groups[-1].at_ms < 300_000
    for fault in plan.faults:
        assert 0 <= fault.hold_ms <= HOLD_MS[1]
        if fault.kind == "freeze":
            assert fault.hold_ms >= HOLD_MS[0]
        if fault.kind in CLOCK_FAULTS and fault.target != "kafka":
            assert abs(fault.detail) == CLOCK_JUMP_MS
        if fault.kind == "cut_after":
            assert CUT_AFTER_BYTES[0] <= fault.detail <= CUT_AFTER_BYTES[1]
    # Two faults of one group never have the same target.
    assert all(len({f.target for f in g.faults}) == len(g.faults) for g in plan.groups)


@pytest.mark.parametrize(("duration_s", "count"), [(0, 1), (1, 0)])
def test_plan_without_time_or_faults_is_refused(duration_s: int, count: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        chaos_plan(1, duration_s, count)


def test_plan_of_selected_kinds_and_targets_has_each_target_equally_often() -> None:
    plan = chaos_plan(3, 60, 200, FaultSelection(("kill",), ("matcher", "sink")))
    drawn = Counter((fault.kind, fault.target) for fault in plan.faults)
    assert drawn == {("kill", "matcher"): 100, ("kill", "sink"): 100}


def test_plan_of_selected_kinds_alone_has_every_target_they_apply_to() -> None:
    programs = chaos_plan(3, 60, 30, FaultSelection(("kill", "supersede")))
    assert {fault.target for fault in programs.faults} == set(PROGRAMS)
    links = chaos_plan(3, 60, 30, FaultSelection(("cut",)))
    assert {fault.target for fault in links.faults} == set(LINKS)


def test_plan_one_by_one_has_short_faults_without_times() -> None:
    plan = chaos_plan(3, 600, 200, FaultSelection(one_by_one=True))
    assert plan.one_by_one
    assert all(group.at_ms == 0 and len(group.faults) == 1 for group in plan.groups)
    assert all(fault.hold_ms <= HOLD_MS[0] for fault in plan.faults)


@pytest.mark.parametrize(
    "selection",
    [
        FaultSelection(("cut",), ("matcher",)),
        FaultSelection(("kill", "cut"), ("matcher",)),
        FaultSelection(("supersede",), ("matcher", "sink")),
    ],
)
def test_plan_with_a_selection_that_does_not_apply_is_refused(selection: FaultSelection) -> None:
    with pytest.raises(ValueError, match="applies to"):
        chaos_plan(1, 60, 10, selection)
