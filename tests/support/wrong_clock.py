"""`python -m tests.support.wrong_clock FILE MODULE ...`: a program whose wall clock is wrong.

The file holds by how many milliseconds; who changes it changes the clock of the running program.
The monotonic clock, and whatever does not ask Python's `time`, stay right.
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
    """From now on the clock is wrong by so much. Makes the file if there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_SHIFT.pack(0))
    with file.open("r+b") as opened:
        opened.write(_SHIFT.pack(shift_ms))


def shifted(now_ns: Callable[[], int], file: Path) -> Callable[[], int]:
    """The clock that this file makes of a right one."""
    with file.open("rb") as opened:
        # One aligned word: never seen half written.
        memory = mmap.mmap(opened.fileno(), _SHIFT.size, access=mmap.ACCESS_READ)
    return lambda: now_ns() + _SHIFT.unpack(memory)[0] * 1_000_000


def main() -> None:
    """Does not return when the module ends the process."""
    file, module, *arguments = sys.argv[1:]
    time_ns = shifted(time.time_ns, Path(file))
    # The whole of the product asks one of these two.
    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1_000_000_000
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
