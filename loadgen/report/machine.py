"""The machine of a run: CPU, memory, Python, commit. Figures mean nothing without them."""

import os
import platform
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no annotations
from msgspec import Struct

# A report is written even if git hangs, on a network file system for example.
_GIT_TIMEOUT_S = 5.0


class Machine(Struct, frozen=True):
    """Everything that figures depend on, without any personal name."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str


def this_machine() -> Machine:
    """The present machine, as the operating system describes it."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def commit(folder: Path = Path(__file__).parent) -> str:
    """The commit of the code in a folder, by default this code's; empty outside of git.

    It ends in `-dirty` if the code was changed since.
    """
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
