"""`loadgen compare A B`: two runs side by side, with ratios. Pure."""

from collections.abc import Iterator

from msgspec import structs

from loadgen.report.report import Percentiles
from loadgen.report.summary import Summary

_WIDTH = 34
Row = tuple[str, float, float]


def comparison(a: Summary, b: Summary) -> Iterator[str]:
    """Text with figures of A, of B, and B relative to A."""
    yield from _differences(a, b)
    yield f"{'':{_WIDTH}}{'A':>14}{'B':>14}{'B / A':>9}"
    for name, first, second in _rows(a, b):
        ratio = f"{second / first:>8.2f}x" if first else f"{'-':>9}"
        yield f"{name:{_WIDTH}}{first:>14,.2f}{second:>14,.2f}{ratio}"


def _differences(a: Summary, b: Summary) -> Iterator[str]:
    """Reasons why two runs are hard to compare."""
    for field in ("scale", "duration_s", "seed", "warm_up_s", "profile"):
        first, second = getattr(a.config, field), getattr(b.config, field)
        if first != second:
            values = "differs" if field == "profile" else f"A {first}, B {second}"
            yield f"note: {field}: {values}"
    if a.machine != b.machine:
        yield "note: not the same machine"
    for name, each in (("A", a), ("B", b)):
        yield f"{name}: {each.config.url}  {each.started_at}  {each.commit}".rstrip()
        if not each.valid:
            yield f"note: {name} is INVALID: its generator was late"
        if not each.complete:
            yield f"note: {name} is incomplete: {each.why}"


def _rows(a: Summary, b: Summary) -> Iterator[Row]:
    yield "planned, requests/s", a.planned_per_s, b.planned_per_s
    yield "done, requests/s", a.done_per_s, b.done_per_s
    yield "errors, %", a.errors_percent, b.errors_percent
    for operation, first in a.figures.latency_us.items():
        second = b.figures.latency_us.get(operation)
        if second is not None:
            yield from _latencies(operation, first, second)
    yield "in flight at most", a.figures.in_flight_max, b.figures.in_flight_max
    for name in a.processes:
        if name in b.processes:
            one, other = a.processes[name], b.processes[name]
            yield f"{name}, us of CPU/request", one.cpu_us_per_request, other.cpu_us_per_request
            yield f"{name}, MiB", one.memory_bytes_max / 2**20, other.memory_bytes_max / 2**20


def _latencies(operation: str, first: Percentiles, second: Percentiles) -> Iterator[Row]:
    for figure in structs.asdict(first):
        if figure != "count":
            yield (
                f"{operation}, {figure.replace('_', '.')}, ms",
                getattr(first, figure) / 1_000,
                getattr(second, figure) / 1_000,
            )
