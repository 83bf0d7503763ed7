"""Figures of a run: percentiles per operation, answers by status, slip, own cost. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from loadgen.record import ERROR_KINDS, OPERATIONS, Line

# What a run promises of itself; over it, its latencies are those of the generator.
SLIP_US_P99_MAX = 10_000


class Percentiles(Struct, frozen=True):
    """Of one quantity, in microseconds; by rank, never interpolated."""

    count: int
    p50: int
    p90: int
    p95: int
    p99: int
    p99_9: int
    max: int


class Report(Struct, frozen=True):
    """Everything a run has to say. `answers` counts by operation, status and problem code."""

    latency_us: dict[str, Percentiles]
    slip_us: Percentiles | None
    kinds: dict[str, int]
    answers: dict[str, int]
    cpu_us_per_request: int

    @property
    def errors(self) -> int:
        """Answers that no broker should have got."""
        return sum(self.kinds.get(kind, 0) for kind in ERROR_KINDS)


def percentile(ordered: Sequence[int], per_mille: int) -> int:
    """The smallest value that at least so many per mille of all values do not exceed."""
    rank = -(-len(ordered) * per_mille // 1_000)
    return ordered[max(0, rank - 1)]


def percentiles(values: Iterable[int]) -> Percentiles | None:
    """None when there is nothing to measure."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p90, p95, p99, p99_9 = (percentile(ordered, n) for n in (500, 900, 950, 990, 999))
    return Percentiles(len(ordered), p50, p90, p95, p99, p99_9, ordered[-1])


def report(lines: Iterable[Line], cpu_s: float) -> Report:
    """Fold a run."""
    latencies: dict[str, list[int]] = {operation: [] for operation in OPERATIONS}
    slips: list[int] = []
    kinds: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for line in lines:
        kinds[line.kind] += 1
        if line.kind == "not_sent":
            continue
        slips.append(line.slip_us)
        latencies[line.operation].append(line.latency_us)
        answers[f"{line.operation} {line.answer.status} {line.answer.code}".rstrip()] += 1
    measured = {name: found for name, us in latencies.items() if (found := percentiles(us))}
    return Report(
        latency_us=measured,
        slip_us=percentiles(slips),
        kinds=dict(sorted(kinds.items())),
        answers=dict(sorted(answers.items())),
        cpu_us_per_request=int(cpu_s * 1_000_000 / max(1, len(slips))),
    )


def as_text(told: Report) -> Iterator[str]:
    """For people: one line per figure."""
    yield f"{'latency ms':12}" + "".join(
        f"{name:>10}" for name in ("count", "p50", "p90", "p95", "p99", "p99.9", "max")
    )
    for name, found in told.latency_us.items():
        yield _row(name, found)
    if told.slip_us is not None:
        yield _row("slip", told.slip_us)
    for answer, count in told.answers.items():
        yield f"answers     {count:>10,}  {answer}"
    skipped = told.kinds.get("not_sent", 0)
    yield f"skipped     {skipped:>10,}  cancels whose order had no answer yet"
    yield f"errors      {told.errors:>10,}"
    yield f"client      {told.cpu_us_per_request:>10,}  us of CPU a request"
    if told.slip_us is not None and told.slip_us.p99 > SLIP_US_P99_MAX:
        yield "warning: requests left late, so these latencies include the generator's own"


def _row(name: str, found: Percentiles) -> str:
    figures = (found.p50, found.p90, found.p95, found.p99, found.p99_9, found.max)
    return f"{name:12}{found.count:>10,}" + "".join(f"{us / 1_000:>10.1f}" for us in figures)
