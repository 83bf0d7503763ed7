"""A disk of its own, in a file, whose power can be cut: what was never flushed is gone.

An ext4 image on a loop device, mounted so that nothing but a flush writes to it soon. A copy of the
image file is what the disk holds at that moment; what the kernel still keeps in memory for the
mounted file system is not in it. The copy is mounted as a disk of its own.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

# The kernel writes by itself what is older than half a minute; metadata go with this commit.
_OPTIONS = "loop,commit=300"
_TOOLS = ("mkfs.ext4", "mount", "umount", "losetup", "cp")


def why_not(folder: Path) -> str:
    """What is missing to make such a disk here; empty when nothing is. Tries it, in the folder."""
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
    """A new, empty disk of that size, mounted inside. Raises OSError."""
    with image.open("xb") as file:
        file.truncate(megabytes << 20)
    # Everything is written now: a kernel thread would otherwise go on with it, and be a part of
    # what the disk holds later.
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    with mounted(image, at):
        yield at


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """The disk in this file, mounted inside and detached after. Raises OSError."""
    at.mkdir()
    _run("mount", "-o", _OPTIONS, str(image), str(at))
    try:
        yield at
    finally:
        try:
            _run("umount", str(at))
        except OSError:
            # Somebody still has a file open: out of sight now, detached when that is closed.
            _run("umount", "--lazy", str(at))
            raise
    attached = _run("losetup", "-j", str(image))
    if attached:
        raise OSError(f"still attached: {attached}")


def cut_power(image: Path, copy: Path) -> None:
    """What the disk would hold if the machine stopped now; the disk itself stays as it is."""
    # Neither `sync` nor an umount comes first: they would save what a power cut loses.
    _run("cp", "--sparse=always", str(image), str(copy))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
