"""A program run as a child of this one, with its own log file and session; it ends with us.

Serves Kafka and PostgreSQL as well as our own services; `kill`, `pause` and `resume` are faults.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.environment import server_environment
from infra.errors import ServerFailedError
from infra.process_table import descendants, wait_until_gone
from infra.spawner import Process, guarded, spawn

# Past this size a log is put aside at the next start, and the one put aside before is dropped.
LOG_BYTES_MAX = 8 * 1024 * 1024
# Logs, segments and tables hold orders, and secrets of webhooks: for their owner only.
UMASK = 0o077
# Processes that got SIGKILL go at once, except when they hang in the disk.
KILL_WAIT_S = 10.0


class ChildProcess:
    """Can be started again after it has ended, with the same command and log."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """`env` is the whole environment, else that of a server; `prefix`: see `guarded`."""
        self.command = list(command)
        self.log_file = log_file
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._prefix = prefix
        self._process: Process | None = None
        self._output_at = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailedError(f"{self.command[0]} was never started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before it ran; -9 after a kill."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it in a separate session, so that Ctrl-C reaches only the supervisor."""
        if self.alive:
            raise ServerFailedError(f"{self.command[0]} runs already (pid {self.pid})")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        _put_aside_when_large(self.log_file)
        env = server_environment(os.environ) if self._env is None else self._env
        with open(self.log_file, "ab", opener=_private) as log:
            self._output_at = log.tell()
            self._process = spawn(
                lambda: subprocess.Popen(  # noqa: S603 - the caller's own program, no shell
                    guarded(self.command, self._prefix),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=UMASK,
                    env=env,
                    cwd=self._cwd,
                )
            )

    def output(self) -> bytes:
        """Everything in its log since its last start."""
        with open(self.log_file, "rb") as log:
            log.seek(self._output_at)
            return log.read()

    def wait(self, timeout_s: float) -> bool:
        """True when it has ended within the time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, signal_number: int = signal.SIGTERM, grace_s: float = 10.0) -> int | None:
        """Send the signal; kill the process after the grace period. Return its exit code."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal_number)
            # A paused program would keep the signal pending and never see it.
            self.resume()
            if not self.wait(grace_s):
                self.kill()
        return self.exit_code

    def kill(self) -> None:
        """kill -9 of it and of everything below it, and wait until all are gone."""
        if self._process is None or not self.alive:
            return
        # Stopped first, so that nothing is born between the look and the kill.
        self._process.send_signal(signal.SIGSTOP)
        below = descendants(self.pid)
        self._process.kill()
        _signal_all(below, signal.SIGKILL)
        self._process.wait(KILL_WAIT_S)
        wait_until_gone(below, KILL_WAIT_S)

    def pause(self) -> None:
        """Freeze it and everything below it; connections stay open and nothing answers."""
        if self.alive:
            _signal_all([self.pid], signal.SIGSTOP)
            _signal_all(descendants(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        if self.alive:
            _signal_all([*descendants(self.pid), self.pid], signal.SIGCONT)

    def tail_of_log(self, lines: int = 20) -> str:
        return tail(self.log_file, lines)


def run_tool(
    command: Sequence[str],
    *,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a short program in the environment of a server and return what it printed.

    `env` adds variables. It stays in our session, so Ctrl-C ends it too.
    """
    done = subprocess.run(  # noqa: S603 - our own tools, no shell
        guarded(command, prefix),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=server_environment(os.environ) | dict(env or {}),
        cwd=cwd,
        check=False,
    )
    if done.returncode != 0:
        last_lines = "\n".join(done.stdout.splitlines()[-20:])
        raise ServerFailedError(
            f"{Path(command[0]).name} failed with exit code {done.returncode}:\n{last_lines}"
        )
    return done.stdout


def tail(log_file: Path, lines: int) -> str:
    """The last lines of a log, without reading all of a long one."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log_file.stat().st_size - 64 * 1024))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _put_aside_when_large(log_file: Path) -> None:
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES_MAX:
        log_file.replace(log_file.with_name(log_file.name + ".1"))


def _signal_all(pids: Sequence[int], signal_number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
