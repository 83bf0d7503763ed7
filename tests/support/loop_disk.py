"""A disk in a file whose power can be cut, which loses everything that was not flushed.

An ext4 image on a loop device, mounted so that only a flush writes to it soon. A copy of the image
file is the content of the disk at that moment, without what the kernel still keeps in memory for
the mounted file system. The copy can be mounted as another disk.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

# The kernel writes data older than 30 s by itself; `commit` delays metadata further.
_OPTIONS = "loop,commit=300"
_TOOLS = ("mkfs.ext4", "mount", "umount", "losetup", "cp")


def loop_disk_obstacle(folder: Path) -> str:
    """Reason why no such disk can be made here; empty if one can. Tries it in the folder."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"a loop disk needs {', '.join(missing)}"
    if os.geteuid() != 0:
        return "a loop disk needs root, to mount it"
    try:
        with loop_disk(folder / "trial.img", folder / "trial", megabytes=16):
            pass
    except OSError as error:
        return f"no loop disk can be mounted here: {error}"
    return ""


@contextlib.contextmanager
def loop_disk(image: Path, at: Path, *, megabytes: int) -> Iterator[Path]:
    """Make an empty disk and mount it during the context. Raises OSError."""
    with image.open("xb") as file:
        file.truncate(megabytes << 20)
    # Initialise everything now: otherwise a kernel thread would continue it later, which would
    # change the content of the disk.
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    with mounted(image, at):
        yield at


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """Mount the disk in this file during the context. Raises OSError."""
    at.mkdir()
    _run("mount", "-o", _OPTIONS, str(image), str(at))
    try:
        yield at
    finally:
        try:
            _run("umount", str(at))
        except OSError:
            # A file is still open: unmount lazily, which detaches the disk when it is closed.
            _run("umount", "--lazy", str(at))
            raise
    attached = _run("losetup", "-j", str(image))
    if attached:
        raise OSError(f"still attached: {attached}")


def cut_power(image: Path, copy: Path) -> None:
    """Copy the content that the disk would have after a power cut now; the disk stays unchanged."""
    # Neither `sync` nor an unmount before it: they would save what a power cut loses.
    _run("cp", "--sparse=always", str(image), str(copy))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
