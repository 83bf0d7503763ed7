"""A checkout of this project, and how its programs are run. Older layouts are known, too."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from infra.process import ChildProcess

# The module of the micro-benchmarks, newest layout first.
MICRO_MODULES: Final = ("benchmarks.micro", "loadgen.bench")
# A run takes seconds at least; one look at a process takes microseconds.
POLL_S: Final = 0.05
# A program that hangs must not block the other rounds.
RUN_TIMEOUT_S: Final = 3_600.0
# A program stops its servers and writes its results when it is terminated.
STOP_GRACE_S: Final = 60.0


class CheckoutError(Exception):
    """The folder is no checkout, or one of its programs failed; the text gives the reason."""


class Checkout(Struct, frozen=True):
    """`python`: its interpreter, with the packages it needs. `micro`: its benchmarks' module."""

    root: Path
    python: Path
    micro: str

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of its programs, which import from this checkout before all else."""
        return {**os.environ, "PYTHONPATH": str(self.root), **(more or {})}

    def start(
        self, arguments: Sequence[str], log_file: Path, more: Mapping[str, str] | None = None
    ) -> ChildProcess:
        """Start `python -m ...`; `more` is added to the environment."""
        program = ChildProcess(
            [str(self.python), "-m", *arguments],
            log_file=log_file,
            env=self.environment(more),
            cwd=self.root,
        )
        program.start()
        return program

    def run(self, arguments: Sequence[str], log_file: Path, good: Sequence[int] = (0,)) -> None:
        """Run `python -m ...` to its end. Raises CheckoutError for another exit code."""
        program = self.start(arguments, log_file)
        deadline = time.monotonic() + RUN_TIMEOUT_S
        try:
            while program.alive and time.monotonic() < deadline:
                time.sleep(POLL_S)
        finally:
            # Also after Ctrl-C, which reaches only this process.
            program.stop(grace_s=STOP_GRACE_S)
        if program.exit_code not in good:
            raise CheckoutError(
                f"{self.root}: python -m {' '.join(arguments)} ended with exit code "
                f"{program.exit_code}:\n{program.tail_of_log(5)}"
            )


def checkout_at(root: Path, python: Path | None = None) -> Checkout:
    """The checkout in a folder, with its `.venv` or else this interpreter. Raises CheckoutError."""
    root = root.resolve()
    for module in MICRO_MODULES:
        if root.joinpath(*module.split("."), "__main__.py").is_file():
            own = root / ".venv" / "bin" / "python"
            chosen = python or (own if own.exists() else Path(sys.executable))
            return Checkout(root, chosen, module)
    raise CheckoutError(f"{root} is no checkout of this project: it has no {MICRO_MODULES[0]}")


def this_checkout() -> Checkout:
    """The checkout that this module belongs to, with the running interpreter."""
    return checkout_at(Path(__file__).parents[2], Path(sys.executable))
