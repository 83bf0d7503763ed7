"""Decides when a dead process is restarted: an immutable policy, and a state per process.

Pure: time is an argument. Quick deaths in a row are counted, and wait longer each time. A process
that has lived long is restarted at once, and its count begins again. Orders need Kafka, matcher
and gateway; the helpers (PostgreSQL, sink, webhook sender) are restarted without end.
"""

from typing import Literal

from msgspec import Struct

# Exit codes after which a restart cannot help (see services.runtime.errors).
EXIT_SETTINGS = 2
EXIT_SUPERSEDED = 4
EXIT_ACCESS = 12

Verdict = Literal["restart", "superseded", "give_up"]


class RestartPolicy(Struct, frozen=True):
    """A life below `quick_death_s` is a quick death; more than `quick_deaths_max` in a row end
    all, and None is without end."""

    quick_death_s: float = 20.0
    quick_deaths_max: int | None = 6
    backoff_s: float = 0.2
    backoff_s_max: float = 5.0


# A helper's fault usually needs its operator; half a minute after the repair it runs again.
HELPER_POLICY = RestartPolicy(quick_deaths_max=None, backoff_s=0.5, backoff_s_max=30.0)


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
        """Judge a death; unless it is the end of all, `due_s` holds the time of a restart."""
        policy = self._policy
        quick = now_s - self._started_s < policy.quick_death_s
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        if exit_code == EXIT_SUPERSEDED:
            self.due_s = now_s + policy.backoff_s
            return "superseded"
        if policy.quick_deaths_max is not None and (
            exit_code in (EXIT_SETTINGS, EXIT_ACCESS)
            or self._quick_deaths > policy.quick_deaths_max
        ):
            return "give_up"
        # Bounded exponent: a float power overflows after about a thousand deaths.
        doublings = min(self._quick_deaths - 1, 30)
        wait_s = policy.backoff_s * 2**doublings if quick else 0.0
        self.due_s = now_s + min(policy.backoff_s_max, wait_s)
        return "restart"
