"""Wrong wall clock for a server that is no Python program: a small C library in LD_PRELOAD.

The library (wrong_clock.c) adds the shift in a file to the wall clock. The file is that of
`tests.support.wrong_clock`, which does the same in Python programs. Needs a C compiler.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.process import run_tool

_SOURCE = Path(__file__).with_name("wrong_clock.c")


def build_clock_library(folder: Path) -> Path | None:
    """Compile the library into the folder; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "wrong_clock.so"
    run_tool([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"])
    return library


def with_clock(environment: Mapping[str, str], library: Path, file: Path) -> dict[str, str]:
    """The environment of a program whose clock follows the file."""
    return {**environment, "LD_PRELOAD": str(library), "WRONG_CLOCK_FILE": str(file)}
