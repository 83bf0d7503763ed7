"""The machine of a run: CPU, memory, Python, commit. Figures mean nothing without them."""

import os
import platform
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no annotations
from msgspec import Struct

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


def commit() -> str:
    """The commit of the code, with `-dirty` if it was changed since; empty outside of git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            cwd=Path(__file__).parent,
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
