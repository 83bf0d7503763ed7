"""Thresholds of a run, such as `p99(order)<50ms` or `errors<1%`. Pure."""

import re
from typing import Final

from msgspec import Struct

from loadgen.client.record import OPERATIONS
from loadgen.report.report import ALL, Report

_US: Final = {"us": 1.0, "ms": 1_000.0, "s": 1_000_000.0}
_FIELDS: Final = {
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "p99.9": "p99_9",
    "max": "max",
}
_LATENCY: Final = re.compile(
    r"(?P<figure>p50|p90|p95|p99|p99\.9|max)\((?P<of>\w+)\)"
    r"(?P<sign><=?)(?P<limit>\d+(\.\d+)?)(?P<unit>us|ms|s)"
)
_ERRORS: Final = re.compile(r"errors(?P<sign><=?)(?P<limit>\d+(\.\d+)?)%")
SEND_LAG: Final = "send_lag"
SUBJECTS: Final = (*OPERATIONS, ALL, SEND_LAG)
# Former names that thresholds may still use.
ALIASES: Final = {"slip": SEND_LAG}


class ThresholdError(ValueError):
    """The text is no threshold; the error shows how one is written."""


class Threshold(Struct, frozen=True):
    """`figure` of `of` below `limit` (microseconds or per cent), or at it if `inclusive`."""

    text: str
    figure: str
    of: str
    limit: float
    inclusive: bool

    @property
    def about_errors(self) -> bool:
        """True for a threshold on the number of errors."""
        return self.figure == "errors"


class ThresholdVerdict(Struct, frozen=True):
    """Result of a threshold. `found` is None if there was nothing to measure: a failure."""

    text: str
    found: float | None
    holds: bool


def threshold(text: str) -> Threshold:
    """Parse a threshold. Raises ThresholdError."""
    compact = text.replace(" ", "")
    if (match := _ERRORS.fullmatch(compact)) is not None:
        return Threshold(compact, "errors", ALL, float(match["limit"]), match["sign"] == "<=")
    match = _LATENCY.fullmatch(compact)
    of = None if match is None else ALIASES.get(match["of"], match["of"])
    if match is None or of not in SUBJECTS:
        raise ThresholdError(
            f"{text!r} is no threshold: write p99(order)<50ms or errors<1%; "
            f"p50, p90, p95, p99, p99.9 or max of {', '.join(SUBJECTS)}; us, ms or s"
        )
    limit = float(match["limit"]) * _US[match["unit"]]
    return Threshold(compact, match["figure"], of, limit, match["sign"] == "<=")


def judge(wanted: Threshold, figures: Report) -> ThresholdVerdict:
    """Compare a run with the threshold."""
    found = _found(wanted, figures)
    holds = found is not None and (
        found < wanted.limit or (wanted.inclusive and found == wanted.limit)
    )
    return ThresholdVerdict(wanted.text, found, holds)


def _found(wanted: Threshold, figures: Report) -> float | None:
    if wanted.about_errors:
        return figures.errors_percent if figures.sent else None
    measured = figures.send_lag_us if wanted.of == SEND_LAG else figures.latency_us.get(wanted.of)
    return None if measured is None else float(getattr(measured, _FIELDS[wanted.figure]))
