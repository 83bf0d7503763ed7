"""The results of a comparison so far, as stored in `results.json` after every step."""

from pathlib import Path

import msgspec
from msgspec import Struct

from loadgen.report.machine import Machine


class ScalePoint(Struct, frozen=True):
    """One run of the generator. Times of orders in microseconds; None: no order was answered.

    `note` names a defect of the run itself; empty when there is none.
    """

    scale: float
    p50_us: int | None
    p99_us: int | None
    errors_percent: float
    done_per_s: float
    cpu_us_per_request: int
    memory_bytes: int
    note: str = ""


class Losses(Struct, frozen=True):
    """Orders acknowledged before a kill -9, and how many of them were missing after it."""

    kills: int
    acknowledged: int
    lost: int


class SystemResult(Struct):
    """One system. `capacity`: per cent of B3, None when none was found or the search was off.

    `cold`: the first seconds after the start, with empty books; `points` are warmed up.
    """

    name: str
    rules_hold: bool | None = None
    points: list[ScalePoint] = []
    capacity: float | None = None
    capacity_note: str = ""
    losses: Losses | None = None
    failure: str = ""
    cold: ScalePoint | None = None


class Comparison(Struct):
    """The whole comparison. `complete` once every system has been through every step."""

    machine: Machine
    commit: str
    started_at: str
    duration_s: int
    scales: list[float]
    results: list[SystemResult] = []
    complete: bool = False

    @property
    def good(self) -> bool:
        """True if every figure is present and all systems passed the trading rules."""
        return self.complete and all(each.rules_hold and not each.failure for each in self.results)


def write(path: Path, found: Comparison) -> None:
    """Write the results, from which table and chart can be drawn again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = msgspec.json.format(msgspec.json.encode(found), indent=2)
    path.write_bytes(raw + b"\n")


def read(path: Path) -> Comparison:
    """Read the results. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode(path.read_bytes(), type=Comparison)
