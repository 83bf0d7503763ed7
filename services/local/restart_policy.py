"""Decides when a dead process is restarted: an immutable policy, and a state per process.

Pure: time is an argument. Quick deaths in a row are counted, and wait longer each time. A process
that has lived long is restarted at once, and its count begins again.
"""

from typing import Literal

from msgspec import Struct

# Exit codes after which a restart cannot help (see services.runtime.errors).
EXIT_SETTINGS = 2
EXIT_SUPERSEDED = 4
EXIT_ACCESS = 12

Verdict = Literal["restart", "leave", "give_up"]


class RestartPolicy(Struct, frozen=True):
    """A life below `quick_death_s` is a quick death; more than `quick_deaths_max` in a row end
    all."""

    quick_death_s: float = 20.0
    quick_deaths_max: int = 6
    backoff_s: float = 0.2
    backoff_s_max: float = 5.0


class RestartState:
    """History of one process."""

    def __init__(self, policy: RestartPolicy, started_s: float) -> None:
        self._policy = policy
        self._started_s = started_s
        self._quick_deaths = 0
        self.due_s: float | None = None

    def started(self, now_s: float) -> None:
        """Record a start."""
        self._started_s = now_s
        self.due_s = None

    def died(self, exit_code: int | None, now_s: float) -> Verdict:
        """Judge a death; for `restart`, `due_s` holds the time to do so."""
        if exit_code == EXIT_SUPERSEDED:
            return "leave"
        quick = now_s - self._started_s < self._policy.quick_death_s
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        if (
            exit_code in (EXIT_SETTINGS, EXIT_ACCESS)
            or self._quick_deaths > self._policy.quick_deaths_max
        ):
            return "give_up"
        wait_s = self._policy.backoff_s * 2 ** (self._quick_deaths - 1) if quick else 0.0
        self.due_s = now_s + min(self._policy.backoff_s_max, wait_s)
        return "restart"
