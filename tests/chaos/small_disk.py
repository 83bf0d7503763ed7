"""A small disk for a folder, which a fault can fill: a tmpfs, where mounting is allowed."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.errors import InfraError

# Enough for the topics of a run of half an hour.
SMALL_DISK_MIB: Final = 256
_BALLAST = "ballast"
_BLOCK = bytes(4096)


class NoMountError(InfraError):
    """Mounting is not allowed here."""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A context with a disk mounted on `folder`; its end deletes the data. Raises NoMountError."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoMountError(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a server that hangs with open files must not block the unmount.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write until the disk is full."""
    with (folder / _BALLAST).open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(_BLOCK)


def make_room(folder: Path) -> None:
    """Delete what `fill` wrote."""
    (folder / _BALLAST).unlink(missing_ok=True)
