"""The supervisor over processes that die when the test says so."""

from pathlib import Path

import pytest

from infra.errors import ServerFailedError
from services.local.restart_policy import RestartPolicy, RestartState
from services.local.supervisor import SupervisedProcess, Supervisor
from services.runtime.errors import GaveUpError

LOG = Path("logs/matcher.log")


class FakeProcess:
    """Alive until an exit code is set; a start clears it, unless it fails."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.starts = 0
        self.fails = False

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    def start(self) -> None:
        self.starts += 1
        if self.fails:
            raise ServerFailedError("no")
        self.exit_code = None


class Desk:
    """One supervised process and what the operator was told."""

    def __init__(self) -> None:
        self.process = FakeProcess()
        self.told: list[str] = []
        state = RestartState(RestartPolicy(), 0.0)
        ward = SupervisedProcess("matcher", lambda: self.process, self.process.start, LOG, state)
        self.supervisor = Supervisor([ward], self.told.append)


def look_after_for(desk: Desk, seconds: int) -> None:
    for now_s in range(1, seconds):
        desk.supervisor.look_after(float(now_s))


def test_supervisor_leaves_a_living_process_alone() -> None:
    desk = Desk()
    desk.supervisor.look_after(1.0)
    assert desk.process.starts == 0
    assert desk.told == []


def test_supervisor_starts_a_dead_process_again_once_its_wait_is_over() -> None:
    desk = Desk()
    desk.process.exit_code = -9
    desk.supervisor.look_after(1.0)
    desk.supervisor.look_after(1.1)
    assert desk.process.starts == 0
    desk.supervisor.look_after(1.3)
    assert desk.process.starts == 1
    assert desk.told == ["matcher ended with exit code -9; starting it again"]


def test_supervisor_starts_a_process_that_lived_long_in_the_same_round() -> None:
    desk = Desk()
    desk.process.exit_code = -9
    desk.supervisor.look_after(100.0)
    assert desk.process.starts == 1


def test_supervisor_leaves_a_superseded_matcher_down() -> None:
    desk = Desk()
    desk.process.exit_code = 4
    for now_s in (1.0, 2.0, 3.0):
        desk.supervisor.look_after(now_s)
    assert desk.process.starts == 0
    assert len(desk.told) == 1


def test_supervisor_gives_up_on_bad_settings_naming_the_log() -> None:
    desk = Desk()
    desk.process.exit_code = 2
    with pytest.raises(GaveUpError, match=r"matcher ended with exit code 2.*matcher\.log"):
        desk.supervisor.look_after(1.0)


def test_supervisor_gives_up_on_a_server_that_never_starts() -> None:
    desk = Desk()
    desk.process.fails = True
    desk.process.exit_code = 1
    with pytest.raises(GaveUpError):
        look_after_for(desk, seconds=1_000)
    assert desk.process.starts == RestartPolicy().quick_deaths_max


def test_supervisor_watches_as_long_as_it_is_wanted() -> None:
    desk = Desk()
    rounds = iter([True, True, False])
    desk.supervisor.watch(lambda: next(rounds))
    assert desk.told == []
