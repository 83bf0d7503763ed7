"""Figures of a run: percentiles per operation, answers by status, send lag, own cost. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from loadgen.client.record import ERROR_KINDS, OPERATIONS, RequestRecord

# Bound of the generator's own lag; above it, latencies are the generator's, not the exchange's.
SEND_LAG_US_P99_MAX = 10_000
# Name of all operations together.
ALL = "all"


class Percentiles(Struct, frozen=True):
    """Percentiles of one quantity in microseconds, by rank without interpolation."""

    count: int
    p50: int
    p90: int
    p95: int
    p99: int
    p99_9: int
    max: int


class Report(Struct, frozen=True):
    """All figures of a run. `answers` counts by operation, status and problem code."""

    latency_us: dict[str, Percentiles]
    send_lag_us: Percentiles | None
    kinds: dict[str, int]
    answers: dict[str, int]
    in_flight_max: int
    cpu_us_per_request: int

    @property
    def sent(self) -> int:
        """The number of requests sent."""
        return self.send_lag_us.count if self.send_lag_us is not None else 0

    @property
    def errors(self) -> int:
        """The number of errors: answers that no broker should get."""
        return sum(self.kinds.get(kind, 0) for kind in ERROR_KINDS)

    @property
    def errors_percent(self) -> float:
        """Errors in per cent of the requests sent."""
        return 100 * self.errors / max(1, self.sent)

    @property
    def late(self) -> bool:
        """True if the generator was too late for its figures to be valid."""
        return self.send_lag_us is not None and self.send_lag_us.p99 > SEND_LAG_US_P99_MAX


def percentile(ordered: Sequence[int], per_mille: int) -> int:
    """The smallest value that at least this share, in per mille, of all values does not exceed."""
    rank = -(-len(ordered) * per_mille // 1_000)
    return ordered[max(0, rank - 1)]


def percentiles(values: Iterable[int]) -> Percentiles | None:
    """Percentiles of values; None if there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p90, p95, p99, p99_9 = (percentile(ordered, n) for n in (500, 900, 950, 990, 999))
    return Percentiles(len(ordered), p50, p90, p95, p99, p99_9, ordered[-1])


def by_operation(lines: Iterable[RequestRecord]) -> dict[str, list[int]]:
    """Latencies of requests that were answered or failed, per operation and of all together."""
    found: dict[str, list[int]] = {name: [] for name in (*OPERATIONS, ALL)}
    for line in lines:
        if line.kind not in ("not_sent", "abandoned"):
            found[line.operation].append(line.latency_us)
            found[ALL].append(line.latency_us)
    return {name: latencies for name, latencies in found.items() if latencies}


def in_flight_max(lines: Iterable[RequestRecord]) -> int:
    """The largest number of requests in progress at once."""
    steps: list[tuple[int, int]] = []
    for line in lines:
        if line.kind != "not_sent":
            steps += ((line.sent_us, 1), (line.done_us, -1))
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def report(lines: Iterable[RequestRecord], cpu_s: float) -> Report:
    """Compute the figures of a run."""
    lines = list(lines)
    sent = [line for line in lines if line.kind != "not_sent"]
    answers = Counter(_answer(line) for line in sent if line.kind != "abandoned")
    latencies = {name: percentiles(us) for name, us in by_operation(lines).items()}
    return Report(
        latency_us={name: found for name, found in latencies.items() if found is not None},
        send_lag_us=percentiles(line.send_lag_us for line in sent),
        kinds=dict(sorted(Counter(line.kind for line in lines).items())),
        answers=dict(sorted(answers.items())),
        in_flight_max=in_flight_max(sent),
        cpu_us_per_request=int(cpu_s * 1_000_000 / max(1, len(sent))),
    )


def _answer(line: RequestRecord) -> str:
    return f"{line.operation} {line.answer.status} {line.answer.code}".rstrip()


def as_text(figures: Report) -> Iterator[str]:
    """The figures as text, one line each."""
    yield from table(figures.latency_us)
    if figures.send_lag_us is not None:
        yield _row("send lag", figures.send_lag_us)
    for answer, count in figures.answers.items():
        yield f"answers     {count:>10,}  {answer}"
    skipped = figures.kinds.get("not_sent", 0)
    yield f"skipped     {skipped:>10,}  cancels and reads whose order had no answer yet"
    yield f"errors      {figures.errors:>10,}  {figures.errors_percent:.2f} %"
    yield f"in flight   {figures.in_flight_max:>10,}  at most"
    yield f"client      {figures.cpu_us_per_request:>10,}  us of CPU a request"


def table(latency_us: Mapping[str, Percentiles]) -> Iterator[str]:
    """A heading and a row for each operation, in milliseconds."""
    yield f"{'latency ms':12}" + "".join(
        f"{name:>10}" for name in ("count", "p50", "p90", "p95", "p99", "p99.9", "max")
    )
    for name, found in latency_us.items():
        yield _row(name, found)


def _row(name: str, found: Percentiles) -> str:
    figures = (found.p50, found.p90, found.p95, found.p99, found.p99_9, found.max)
    return f"{name:12}{found.count:>10,}" + "".join(f"{us / 1_000:>10.1f}" for us in figures)
