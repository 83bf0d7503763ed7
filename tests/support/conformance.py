"""Run of the conformance suite against a URL in a process, with counts of its results."""

import subprocess
import sys

from msgspec import Struct

# Rules of `conformance/` with their cases. A lower count would mean that a rule was not checked.
RULES = 334
# The suite takes 40 s on an idle machine.
TIMEOUT_S = 300.0


class ConformanceRun(Struct, frozen=True):
    """Exit code, printed lines, and the number of rules by result."""

    exit_code: int
    output: str

    @property
    def held(self) -> int:
        """Number of rules that hold."""
        return self.output.count("  ok      ")

    @property
    def not_offered(self) -> int:
        """Number of rules about a part that the exchange does not offer."""
        return self.output.count("  ABSENT  ")


def run_conformance(url: str, admin_key: str, *more: str) -> ConformanceRun:
    """Run `python -m conformance` and wait for its end. Raises TimeoutExpired."""
    command = [sys.executable, "-m", "conformance", "--url", url, f"--admin-key={admin_key}", *more]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return ConformanceRun(ended.returncode, ended.stdout + ended.stderr)
