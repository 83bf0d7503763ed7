"""Restart policy: exit codes that restart a process, the delay before it, and those that do not."""

import pytest

from services.local.restart_policy import HELPER_POLICY, RestartPolicy, RestartState

POLICY = RestartPolicy(quick_death_s=10.0, quick_deaths_max=3, backoff_s=1.0, backoff_s_max=3.0)


def test_quick_death_is_restarted_after_a_wait() -> None:
    state = RestartState(POLICY, started_s=0.0)
    assert state.died(-9, now_s=2.0) == "restart"
    assert state.due_s == 3.0


def test_quick_deaths_wait_longer_each_time_up_to_a_bound() -> None:
    state = RestartState(POLICY, started_s=0.0)
    waits = []
    for now_s in (1.0, 2.0, 3.0):
        assert state.died(1, now_s) == "restart"
        waits.append((state.due_s or 0.0) - now_s)
        state.started(now_s)
    assert waits == [1.0, 2.0, 3.0]


def test_too_many_quick_deaths_end_the_restarts() -> None:
    state = RestartState(POLICY, started_s=0.0)
    verdicts = []
    for now_s in (1.0, 2.0, 3.0, 4.0):
        verdicts.append(state.died(1, now_s))
        state.started(now_s)
    assert verdicts == ["restart", "restart", "restart", "give_up"]


def test_death_after_a_long_life_is_restarted_at_once() -> None:
    state = RestartState(POLICY, started_s=0.0)
    for _ in range(10):
        assert state.died(1, now_s=100.0) == "restart"
        assert state.due_s == 100.0
        state.started(0.0)


@pytest.mark.parametrize("exit_code", [2, 12])
def test_exit_code_of_a_permanent_fault_gives_up(exit_code: int) -> None:
    assert RestartState(POLICY, started_s=0.0).died(exit_code, now_s=99.0) == "give_up"


def test_superseded_process_is_due_after_a_pause() -> None:
    state = RestartState(POLICY, started_s=0.0)
    assert state.died(4, now_s=99.0) == "superseded"
    assert state.due_s == 100.0


@pytest.mark.parametrize("exit_code", [-9, 1, 2, 3, 6, 7, 8, 12])
def test_helper_is_restarted_forever_with_growing_bounded_pauses(exit_code: int) -> None:
    state = RestartState(HELPER_POLICY, started_s=0.0)
    waits = []
    for now_s in range(2_000):
        assert state.died(exit_code, float(now_s)) == "restart"
        waits.append((state.due_s or 0.0) - now_s)
        state.started(float(now_s))
    assert waits[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert set(waits[6:]) == {30.0}
