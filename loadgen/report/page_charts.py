"""Charts of a run's report. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import log10
from typing import Final

from loadgen.client.record import ERROR_KINDS, RequestRecord
from loadgen.report.charts import Axis, Series, line_chart
from loadgen.report.report import ALL, Percentiles, by_operation
from loadgen.report.resources import UsageSample
from loadgen.report.seconds import Load, Second, loads

TIME: Final = Axis("seconds since the start")
# Points of a distribution per power of ten.
POINTS_PER_DECADE: Final = 12


def over_time(seconds: Sequence[Second]) -> Iterator[str]:
    """Requests sent, their latency, and the generator's lag."""
    yield line_chart(
        "Requests per second",
        [
            _by_second("planned", seconds, lambda each: each.planned),
            _by_second("sent", seconds, lambda each: each.sent),
            _by_second("done", seconds, lambda each: each.done),
        ],
        TIME,
        Axis("requests/s"),
    )
    for name, title in (("order", "Latency of orders"), (ALL, "Latency of everything")):
        yield line_chart(
            title,
            [_latency(seconds, name, figure) for figure in ("p50", "p90", "p99", "p99_9", "max")],
            TIME,
            Axis("ms", log=True),
        )
    operations = dict.fromkeys(name for each in seconds for name in each.latency_us)
    yield line_chart(
        "p99 of each operation",
        [Series(name, _latency(seconds, name, "p99").points) for name in operations if name != ALL],
        TIME,
        Axis("ms", log=True),
    )
    yield line_chart(
        "Requests under way",
        [_by_second("in flight", seconds, lambda each: each.in_flight)],
        TIME,
        Axis("requests"),
    )
    yield line_chart(
        "Send lag: delay of requests in the generator",
        [
            _by_second("p99", seconds, lambda each: _ms(each.send_lag_us, "p99")),
            _by_second("max", seconds, lambda each: _ms(each.send_lag_us, "max")),
        ],
        TIME,
        Axis("ms"),
    )


def _by_second(
    name: str, seconds: Sequence[Second], value: Callable[[Second], float | None]
) -> Series:
    found = ((each.second, value(each)) for each in seconds)
    return Series(name, [(second, figure) for second, figure in found if figure is not None])


def _latency(seconds: Sequence[Second], operation: str, figure: str) -> Series:
    name = figure.replace("_", ".")
    return _by_second(name, seconds, lambda each: _ms(each.latency_us.get(operation), figure))


def _ms(measured: Percentiles | None, figure: str) -> float | None:
    return None if measured is None else float(getattr(measured, figure)) / 1_000


def distribution(lines: Iterable[RequestRecord]) -> str:
    """Latency distribution of each operation, up to the slowest request."""
    return line_chart(
        "Share of requests that took longer",
        [
            Series(name, _exceeding(sorted(latencies)))
            for name, latencies in by_operation(lines).items()
        ],
        Axis("ms", log=True),
        Axis("% took longer", log=True),
    )


def _exceeding(ordered_us: Sequence[int]) -> list[tuple[float, float]]:
    """(ms, per cent above it), at equally spaced points of a logarithmic axis."""
    least, most = max(1, ordered_us[0]), max(1, ordered_us[-1])
    steps = 1 + int(log10(most / least) * POINTS_PER_DECADE)
    found: list[tuple[float, float]] = []
    for step in range(steps + 1):
        at_us = least * 10 ** (step / POINTS_PER_DECADE)
        above = len(ordered_us) - bisect_left(ordered_us, at_us)
        if above:
            found.append((at_us / 1_000, 100 * above / len(ordered_us)))
    return [*found, (most / 1_000, 100 / len(ordered_us))]


def errors(seconds: Sequence[Second]) -> str:
    """Errors by kind, for the kinds that occurred."""
    kinds = [kind for kind in ERROR_KINDS if any(kind in each.kinds for each in seconds)]
    return line_chart(
        "Errors per second, by kind",
        [_kind(seconds, kind) for kind in kinds],
        TIME,
        Axis("errors/s"),
    )


def _kind(seconds: Sequence[Second], kind: str) -> Series:
    return _by_second(kind, seconds, lambda each: each.kinds.get(kind, 0))


def resources(samples: Sequence[UsageSample]) -> Iterator[str]:
    """CPU and memory of each process."""
    found = loads(samples)
    yield line_chart(
        "CPU",
        [_load(name, each, lambda load: load.cpu_percent) for name, each in found.items()],
        TIME,
        Axis("% of one core"),
    )
    yield line_chart(
        "Memory",
        [_load(name, each, lambda load: load.memory_bytes / 2**20) for name, each in found.items()],
        TIME,
        Axis("MiB"),
    )


def _load(name: str, found: Mapping[int, Load], value: Callable[[Load], float]) -> Series:
    return Series(name, [(second, value(load)) for second, load in sorted(found.items())])
