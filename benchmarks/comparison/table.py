"""The comparison as Markdown. Pure."""

from collections.abc import Iterator

from benchmarks.comparison.entries import ENTRIES
from benchmarks.comparison.results import Comparison, ScalePoint, SystemResult

# CPU and memory are shown at this scale, or at the nearest measured scale below it.
COST_SCALE = 50.0
_HEAD = """# Comparison with simpler designs

Written by `make compare`, which runs each of these alone on the same machine, one after the other,
with the same generator and the same trading rules (`make conformance`).
"""
_FOOT = """
Latencies are of orders, from the moment at which each should have been sent, as p50 / p99 in
milliseconds; 100 % of B3 is 700 orders, 251 cancels and 370 reads a second. **Cold**: the first
20 s after the start, with empty books; all other columns are warmed up. **Carries** is the largest
scale at which p99 of orders stays within 50 ms and errors within 1 %, held twice. CPU and memory
are those of everything but the generator, database and Kafka included. **Lost** are orders that
were acknowledged before a kill -9 of everything, in the middle of {scale:g} % of B3, and were not
there after the restart. An asterisk marks a run with more than 1 % errors, a dagger one in which
the generator itself was late or that was not finished.
"""


def markdown(found: Comparison) -> str:
    """The complete page."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Comparison) -> Iterator[str]:
    yield _HEAD
    yield _measured_on(found)
    if not found.complete:
        yield "\n**Not finished**: what is missing was not measured."
    yield "\n![p99 of orders at each share of B3](comparison.svg)\n"
    yield from _table(found)
    yield ""
    for result in found.results:
        entry = ENTRIES[result.name]
        yield f"- **{entry.title}**: {entry.idea}. A 201 is {entry.promise}."
        if trouble := [each for each in (result.failure, result.capacity_note) if each]:
            yield f"  ({'; '.join(trouble)})"
    yield _FOOT.format(scale=25)


def _measured_on(found: Comparison) -> str:
    machine = found.machine
    return (
        f"{machine.cpu}, {machine.cores} cores shared by everything, the generator included, "
        f"{machine.memory_bytes / 2**30:.0f} GiB; {machine.system}, Python {machine.python}; "
        f"{found.duration_s} s a run; {found.started_at[:10]}, version {found.commit or 'unknown'}."
    )


def _table(found: Comparison) -> Iterator[str]:
    scales = [f"{scale:g} %" for scale in found.scales]
    cost = [f"CPU a request at {COST_SCALE:g} %", "memory", "lost by kill -9"]
    head = ["", "carries, % of B3", "cold, 50 %", *scales, *cost, "rules"]
    yield _row(head)
    yield _row(["---", *["---:"] * (len(head) - 2), "---"])
    for result in found.results:
        yield _row(_cells(result, found.scales))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(result: SystemResult, scales: list[float]) -> list[str]:
    points = {point.scale: point for point in result.points}
    priced = cost_point(result)
    losses = result.losses
    return [
        ENTRIES[result.name].title,
        "-" if result.capacity is None else f"{result.capacity:g}",
        _latency(result.cold),
        *(_latency(points.get(scale)) for scale in scales),
        "-" if priced is None else f"{priced.cpu_us_per_request:,} us{_at(priced)}",
        "-" if priced is None else f"{priced.memory_bytes / 2**20:,.0f} MiB",
        "-" if losses is None else f"{losses.lost} of {losses.acknowledged:,}",
        {True: "hold", False: "BROKEN", None: "-"}[result.rules_hold],
    ]


def cost_point(result: SystemResult) -> ScalePoint | None:
    """The run from which CPU and memory are read: one in which orders were answered."""
    answered = [point for point in result.points if point.p50_us is not None]
    below = [point for point in answered if point.scale <= COST_SCALE]
    return max(below, key=lambda point: point.scale, default=None)


def _at(point: ScalePoint) -> str:
    return "" if point.scale == COST_SCALE else f" (at {point.scale:g} %)"


def _latency(point: ScalePoint | None) -> str:
    if point is None or point.p50_us is None or point.p99_us is None:
        return "-"
    marks = ("\\*" if point.errors_percent > 1 else "") + ("†" if point.note else "")
    return f"{_ms(point.p50_us)} / {_ms(point.p99_us)}{marks}"


def _ms(us: int) -> str:
    return f"{us / 1_000:.1f}" if us < 100_000 else f"{us / 1_000:,.0f}"  # noqa: PLR2004
