"""One owner per data directory. The kernel drops the lock when its owner dies, however it dies."""

import fcntl
import os
from pathlib import Path

from infra.errors import FolderBusyError
from infra.process_table import wait_until_gone, working_in

# Servers of a killed owner get SIGKILL together with it; they need a moment to be gone.
ORPHAN_WAIT_S = 10.0


class FolderLock:
    """Held from `acquire` to `release`; not inherited by programs that are started meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        if self._descriptor is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderBusyError(
                f"{self.folder} is in use by another run (pid {owner}). "
                "Stop that one, or choose another data directory."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def wait_until_unused(folder: Path, program: str, timeout_s: float = ORPHAN_WAIT_S) -> None:
    """Wait until no process of `program` works in `folder`. Raises FolderBusyError."""
    left = wait_until_gone(working_in(folder, program), timeout_s)
    if left:
        raise FolderBusyError(
            f"{folder} is in use by a server that another run started (pid {left[0]}). "
            "Stop it, or choose another data directory."
        )
