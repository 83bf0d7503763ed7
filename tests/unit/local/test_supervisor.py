"""The supervisor with fake processes whose deaths the test controls."""

from pathlib import Path

import pytest

from infra.errors import ServerFailedError
from services.local.helper_status import HelperProbes, HelperStatus
from services.local.remedies import REMEDIES
from services.local.restart_policy import HELPER_POLICY, RestartPolicy, RestartState
from services.local.supervisor import SupervisedProcess, Supervisor
from services.runtime.degraded import read_degraded
from services.runtime.errors import ExchangeError, GaveUpError

LOG = Path("logs/matcher.log")


class FakeProcess:
    """Alive until an exit code is set; a start clears it unless `fails` is set."""

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


class Supervised:
    """One supervised process and the lines that the operator gets."""

    def __init__(self, status: HelperStatus | None = None, *, standby: bool = False) -> None:
        self.process = FakeProcess()
        self.lines: list[str] = []
        self.standbys = 0
        policy = RestartPolicy() if status is None else HELPER_POLICY
        self.entry = SupervisedProcess(
            "matcher",
            lambda: self.process,
            self.process.start,
            LOG,
            RestartState(policy, 0.0),
            status=status,
            stand_by=self._start_standby if standby else None,
        )
        self.supervisor = Supervisor([self.entry], self.lines.append)

    def _start_standby(self) -> None:
        self.standbys += 1

    def look_after(self, *seconds: float) -> None:
        """Look at these times; a start in the background ends before the next look."""
        for now_s in seconds:
            self.supervisor.look_after(now_s)
            if self.entry.starting is not None:
                self.entry.starting.join()


def test_supervisor_leaves_a_living_process_alone() -> None:
    one = Supervised()
    one.look_after(1.0)
    assert one.process.starts == 0
    assert one.lines == []


def test_supervisor_restarts_a_dead_process_after_its_wait() -> None:
    one = Supervised()
    one.process.exit_code = -9
    one.look_after(1.0)
    one.look_after(1.1)
    assert one.process.starts == 0
    one.look_after(1.3)
    assert one.process.starts == 1
    assert one.lines == ["matcher ended with exit code -9; starting it again"]


def test_supervisor_restarts_a_process_that_lived_long_at_once() -> None:
    one = Supervised()
    one.process.exit_code = -9
    one.look_after(100.0)
    assert one.process.starts == 1


def test_supervisor_does_not_restart_a_superseded_matcher() -> None:
    one = Supervised()
    one.process.exit_code = 4
    for now_s in (1.0, 2.0, 3.0):
        one.look_after(now_s)
    assert one.process.starts == 0
    assert len(one.lines) == 1


def test_supervisor_raises_on_invalid_settings_with_the_log_file() -> None:
    one = Supervised()
    one.process.exit_code = 2
    with pytest.raises(GaveUpError, match=r"matcher ended with exit code 2.*matcher\.log"):
        one.look_after(1.0)


def test_supervisor_raises_when_a_server_never_starts() -> None:
    one = Supervised()
    one.process.fails = True
    one.process.exit_code = 1
    with pytest.raises(GaveUpError):
        one.look_after(*range(1, 1_000))
    assert one.process.starts == RestartPolicy().quick_deaths_max


def test_supervisor_watches_until_its_condition_ends() -> None:
    one = Supervised()
    rounds = iter([True, True, False])
    one.supervisor.watch(lambda: next(rounds))
    assert one.lines == []


@pytest.mark.parametrize("exit_code", [-9, 1, 2, 3, 6, 7, 8, 12])
def test_supervisor_restarts_a_helper_forever_and_lists_it_with_its_remedy(
    tmp_path: Path, exit_code: int
) -> None:
    one = Supervised(HelperStatus(tmp_path))
    for now_s in range(1, 2_000):
        one.process.exit_code = exit_code
        one.look_after(float(now_s))
    assert one.process.starts > 2_000 / 32
    assert len(one.lines) == pytest.approx(one.process.starts, abs=1)
    for line in one.lines:
        assert line.startswith("matcher ")
        assert "Orders are served; next start in" in line
        assert str(LOG) in line
    (listed,) = read_degraded(tmp_path)
    assert listed.name == "matcher"
    if exit_code > 0:
        assert f"exit code {exit_code}; remedy: " in listed.detail
        assert f"exit code {exit_code}; remedy: " in one.lines[0]


def test_supervisor_lists_a_helper_that_cannot_be_started_with_the_reason(tmp_path: Path) -> None:
    one = Supervised(HelperStatus(tmp_path))
    one.process.fails = True
    one.process.exit_code = 1
    one.look_after(1.0, 2.0, 3.0)
    assert [helper.detail for helper in read_degraded(tmp_path)] == ["does not start: no"]
    assert one.lines[-1].startswith("matcher does not start: no. Orders are served")


def test_supervisor_starts_a_superseded_matcher_again_as_a_standby() -> None:
    one = Supervised(standby=True)
    one.process.exit_code = 4
    one.look_after(1.0)
    assert (one.standbys, one.process.starts) == (1, 0)
    one.look_after(1.5)
    assert (one.standbys, one.process.starts) == (1, 1)
    assert "as a standby" in one.lines[0]


def test_probes_list_a_helper_that_stays_unready_until_it_is_ready(tmp_path: Path) -> None:
    status = HelperStatus(tmp_path)
    lines: list[str] = []
    status.report = lines.append
    ready = False
    probes = HelperProbes({"sink": lambda: ready}, status)
    for _ in range(4):
        probes.probe_all()
    assert read_degraded(tmp_path) == []
    probes.probe_all()
    assert [helper.name for helper in read_degraded(tmp_path)] == ["sink"]
    ready = True
    probes.probe_all()
    assert read_degraded(tmp_path) == []
    assert lines[-1] == "sink works again"
    assert len(lines) == 2


def test_every_exit_code_has_a_remedy() -> None:
    codes = {kind.exit_code for kind in subclasses(ExchangeError)} | {1}
    assert codes >= {7, 8}
    assert codes <= set(REMEDIES)


def subclasses(kind: type[ExchangeError]) -> set[type[ExchangeError]]:
    return {kind}.union(*(subclasses(derived) for derived in kind.__subclasses__()))
