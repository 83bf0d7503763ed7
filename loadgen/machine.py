"""What a measurement ran on: the machine, the software, and which state of the code."""

import os
import platform
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no annotations
from msgspec import Struct

_ROOT = Path(__file__).parents[1]
_GIT_TIMEOUT_S = 10


class Machine(Struct, frozen=True):
    """`load` is the average of the last minute at the start: over 0, others were at work."""

    processor: str
    cores: int
    memory_mib: int
    system: str
    python: str
    load: float


def machine() -> Machine:
    """This one, now."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_mib=psutil.virtual_memory().total >> 20,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=os.getloadavg()[0],
    )


def commit() -> str:
    """The commit of this code, `+` behind it if files differ; empty when git does not say."""
    found = _git("rev-parse", "--short=12", "HEAD")
    return found + ("+" if found and _git("status", "--porcelain", "-uno") else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(_ROOT), *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
