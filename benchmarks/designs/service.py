"""A baseline as a child process, which can be killed and restarted on the same database."""

import os
import sys
from pathlib import Path

from benchmarks.designs.app import ADMIN_KEY, DATABASE_URL
from infra.errors import ServerFailedError
from infra.ports import free_port
from infra.process import ChildProcess
from services.runtime.readiness import wait_ready

# Includes the creation of tables, or loading all orders after a kill.
READY_TIMEOUT_S = 60.0
# Longer than it takes to answer open requests and to flush.
STOP_GRACE_S = 15.0
# Lets a checkout that is not installed run as well.
_ROOT = Path(__file__).parents[2]


class Baseline:
    """One of `v1`, `v2`, `v3`. Its port stays the same over a restart."""

    def __init__(self, design: str, database_url: str, admin_key: str, log_dir: Path) -> None:
        self.design = design
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_key = admin_key
        self.process = ChildProcess(
            [sys.executable, "-m", "benchmarks.designs", design, "--port", str(self.port)],
            log_file=log_dir / f"{design}.log",
            env={**os.environ, DATABASE_URL: database_url, ADMIN_KEY: admin_key},
            cwd=_ROOT,
        )

    def start(self) -> None:
        """Start it and wait until it is ready. Raises ServerFailedError."""
        self.process.start()
        reason = wait_ready(self.url, READY_TIMEOUT_S, ended=lambda: not self.process.alive)
        if reason is None:
            return
        lines = self.process.tail_of_log(5)
        self.process.kill()
        raise ServerFailedError(
            f"{self.process.log_file.stem} did not get ready ({reason}); its log is "
            f"{self.process.log_file}, the last lines:\n{lines}"
        )

    def stop(self) -> None:
        """Send SIGTERM: the service answers open requests and flushes its memory."""
        self.process.stop(grace_s=STOP_GRACE_S)
