"""A child process ends on request and when its parent ends, and not before."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conformance.api import eventually
from infra.errors import ServerFailedError
from infra.process import LOG_BYTES_MAX, ChildProcess, run_tool
from infra.process_table import descendants, is_running
from infra.spawner import GUARD
from tests.infra.programs import end, first_line, runs, start_python, state_of

SUPERVISOR = """
import sys, threading, time
from pathlib import Path
from infra.process import ChildProcess
child = ChildProcess(["sleep", "600"], log_file=Path(sys.argv[1]))
starter = threading.Thread(target=child.start)
starter.start()
starter.join()
print(child.pid, flush=True)
time.sleep(600)
"""


def child_of(tmp_path: Path, *command: str) -> ChildProcess:
    return ChildProcess(command, log_file=tmp_path / "log")


def test_child_when_its_parent_is_killed_ends(tmp_path: Path) -> None:
    supervisor = start_python(SUPERVISOR, str(tmp_path / "log"))
    pid = int(first_line(supervisor))
    eventually("the child runs", lambda: runs(pid, "sleep"), 5)

    end(supervisor)

    eventually("the child ended", lambda: not is_running(pid), 5)


def test_child_when_the_thread_that_started_it_ends_continues(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sleep", "600")
    may_end = threading.Event()

    def start_and_wait() -> None:
        child.start()
        may_end.wait()

    starter = threading.Thread(target=start_and_wait)
    starter.start()
    eventually("the child runs", lambda: child.alive and runs(child.pid, "sleep"), 5)
    may_end.set()
    starter.join()

    assert not child.wait(0.5)

    child.kill()


def test_guard_when_the_parent_has_ended_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    not_our_pid = "1"

    done = subprocess.run(
        [sys.executable, str(GUARD), not_our_pid, "touch", str(mark)], check=False
    )

    assert done.returncode == 1
    assert not mark.exists()


def test_guard_when_the_program_is_unknown_says_so(tmp_path: Path) -> None:
    child = child_of(tmp_path, "no-such-program")

    child.start()

    assert child.wait(5)
    assert child.exit_code == 127
    assert "no-such-program: No such file" in child.tail_of_log()


def test_child_inherits_no_signal_that_python_ignores(tmp_path: Path) -> None:
    child = child_of(tmp_path, "grep", "SigIgn", "/proc/self/status")

    child.start()

    assert child.wait(5)
    ignored = int(child.tail_of_log().split()[1], 16)
    assert [s for s in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (s - 1) & 1] == []


def test_stop_when_the_signal_is_handled_returns_the_exit_code(tmp_path: Path) -> None:
    child = child_of(
        tmp_path, "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    )
    child.start()
    eventually("the child is up", lambda: child.tail_of_log() == "up", 5)

    assert child.stop() == 3
    assert not child.alive


def test_stop_when_the_signal_is_ignored_kills_after_the_grace(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    child.start()
    eventually("the child is up", lambda: child.tail_of_log() == "up", 5)

    assert child.stop(grace_s=0.3) == -signal.SIGKILL


def test_kill_reaches_descendants_in_other_sessions(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sh", "-c", "setsid sleep 600 & setsid sleep 600 & wait")
    child.start()
    eventually("both descendants run", lambda: len(descendants(child.pid)) == 2, 5)
    below = descendants(child.pid)

    child.kill()

    assert not any(is_running(pid) for pid in [child.pid, *below])


def test_pause_freezes_the_tree_and_resume_thaws_it(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sh", "-c", "setsid sleep 600 & wait")
    child.start()
    eventually("the descendant runs", lambda: len(descendants(child.pid)) == 1, 5)
    tree = [child.pid, *descendants(child.pid)]

    child.pause()
    eventually("both are stopped", lambda: [state_of(pid) for pid in tree] == ["T", "T"], 5)
    child.resume()
    eventually("both continue", lambda: "T" not in [state_of(pid) for pid in tree], 5)

    child.kill()


def test_stop_when_paused_still_ends_it_in_order(tmp_path: Path) -> None:
    script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    child = child_of(tmp_path, "sh", "-c", script)
    child.start()
    eventually("the child is up", lambda: child.tail_of_log() == "up", 5)
    child.pause()

    assert child.stop(grace_s=5) == 3


def test_child_has_its_own_session(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sleep", "600")
    child.start()

    session = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) == child.pid

    child.kill()


def test_start_when_ended_before_runs_again_and_adds_to_the_log(tmp_path: Path) -> None:
    child = child_of(tmp_path, "echo", "hello")
    for _ in range(2):
        child.start()
        assert child.wait(5)

    assert child.tail_of_log() == "hello\nhello"
    assert child.output() == b"hello\n"


def test_start_when_running_refuses(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sleep", "600")
    child.start()

    with pytest.raises(ServerFailedError, match="runs already"):
        child.start()

    child.kill()


def test_start_when_the_log_is_large_puts_it_aside(tmp_path: Path) -> None:
    child = child_of(tmp_path, "echo", "new")
    child.log_file.write_bytes(b"x" * (LOG_BYTES_MAX + 1))

    child.start()

    assert child.wait(5)
    assert child.log_file.read_text() == "new\n"
    assert (tmp_path / "log.1").stat().st_size > LOG_BYTES_MAX


def test_tool_when_it_fails_is_quoted() -> None:
    with pytest.raises(ServerFailedError, match="sh failed with exit code 4:\nout of luck"):
        run_tool(["sh", "-c", "echo out of luck; exit 4"])
