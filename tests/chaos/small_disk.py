"""A disk of its own for a folder, small enough to be filled: a tmpfs, where mounting is allowed."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.errors import InfraError

# Takes in what half an hour of chaos writes.
SMALL_DISK_MIB: Final = 256
_BALLAST = "ballast"
_BLOCK = bytes(4096)


class NoMountError(InfraError):
    """Mounting is not allowed here."""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mounted on `folder` inside, gone with all that is on it after. Raises NoMountError."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoMountError(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a server that hangs in it must not keep the mount for ever.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Until nothing more goes onto the disk."""
    with (folder / _BALLAST).open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(_BLOCK)


def make_room(folder: Path) -> None:
    """Take away what `fill` wrote."""
    (folder / _BALLAST).unlink(missing_ok=True)
