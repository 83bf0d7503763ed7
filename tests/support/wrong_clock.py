"""`python -m tests.support.wrong_clock FILE MODULE ...`: runs a program with a wrong wall clock.

The file contains the shift in milliseconds; changing it shifts the clock of the running program.
The monotonic clock, and code that does not use Python's `time`, keep the right time.
"""

import mmap
import runpy
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

_SHIFT = struct.Struct("=q")


def set_clock(file: Path, shift_ms: int) -> None:
    """Shift the clock from now on. Creates the file if it does not exist."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_SHIFT.pack(0))
    with file.open("r+b") as opened:
        opened.write(_SHIFT.pack(shift_ms))


def shifted(now_ns: Callable[[], int], file: Path) -> Callable[[], int]:
    """Clock that adds the shift in the file to a right one."""
    with file.open("rb") as opened:
        # One aligned word: never seen half written.
        memory = mmap.mmap(opened.fileno(), _SHIFT.size, access=mmap.ACCESS_READ)
    return lambda: now_ns() + _SHIFT.unpack(memory)[0] * 1_000_000


def main() -> None:
    """Run the module with the shifted clock. Does not return if the module ends the process."""
    file, module, *arguments = sys.argv[1:]
    time_ns = shifted(time.time_ns, Path(file))
    # The product reads the wall clock only through these two functions.
    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1_000_000_000
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
