"""A run second by second, as rows and as CSV. Pure.

Planned requests and their latency count in the second they were due; sent and completed requests
and errors in the second in which they occurred.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from loadgen.client.record import ERROR_KINDS, OPERATIONS, Kind, RequestRecord
from loadgen.report.report import ALL, Percentiles, by_operation, percentiles
from loadgen.report.resources import UsageSample

SECOND_US: Final = 1_000_000
_COUNTED: Final[tuple[Kind, ...]] = ("ok", "expected", *ERROR_KINDS, "not_sent", "abandoned")
_FIGURES: Final = ("count", "p50", "p90", "p95", "p99", "p99_9", "max")


class Second(Struct, frozen=True):
    """One second. `in_flight`: at its end. `latency_us`: of the requests due in it."""

    second: int
    planned: int
    sent: int
    done: int
    in_flight: int
    kinds: dict[str, int]
    send_lag_us: Percentiles | None
    latency_us: dict[str, Percentiles]


def per_second(planned_us: Iterable[int], lines: Iterable[RequestRecord]) -> list[Second]:
    """Rows from the first to the last second in which anything was due, sent or completed."""
    planned = Counter(at_us // SECOND_US for at_us in planned_us)
    due: defaultdict[int, list[RequestRecord]] = defaultdict(list)
    sent, done = Counter[int](), Counter[int]()
    kinds: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for line in lines:
        at = line.done_us // SECOND_US
        kinds[at][line.kind] += 1
        if line.kind == "not_sent":
            continue
        due[line.intended_us // SECOND_US].append(line)
        sent[line.sent_us // SECOND_US] += 1
        done[at] += 1
    found: list[Second] = []
    in_flight = 0
    for second in range(1 + max([*planned, *due, *sent, *done], default=-1)):
        in_flight += sent[second] - done[second]
        latencies = {name: percentiles(us) for name, us in by_operation(due[second]).items()}
        found.append(
            Second(
                second,
                planned[second],
                sent[second],
                done[second],
                in_flight,
                dict(kinds[second]),
                percentiles(line.send_lag_us for line in due[second]),
                {name: figures for name, figures in latencies.items() if figures is not None},
            )
        )
    return found


class Load(Struct, frozen=True):
    """Usage of one process over one second: 100 per cent is one core."""

    cpu_percent: float
    memory_bytes: int


def loads(samples: Sequence[UsageSample]) -> dict[str, dict[int, Load]]:
    """Usage by process and second, from samples about a second apart."""
    found: defaultdict[str, dict[int, Load]] = defaultdict(dict)
    for before, after in pairwise(samples):
        elapsed_s = after.at_s - before.at_s
        for name, usage in after.usage.items():
            if name in before.usage and elapsed_s > 0:
                cpu_s = max(0.0, usage.cpu_s - before.usage[name].cpu_s)
                load = Load(100 * cpu_s / elapsed_s, usage.memory_bytes)
                found[name][max(0, int(before.at_s))] = load
    return dict(found)


def as_csv(seconds: Sequence[Second], samples: Sequence[UsageSample]) -> str:
    """One row a second, times in milliseconds, memory in bytes; empty: not measured."""
    names = (*OPERATIONS, ALL)
    processes = loads(samples)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            *("second", "planned", "sent", "done", "in_flight"),
            *_COUNTED,
            *("send_lag_p99_ms", "send_lag_max_ms"),
            *(f"{n}_{f}" if f == "count" else f"{n}_{f}_ms" for n in names for f in _FIGURES),
            *(f"{name} {what}" for name in processes for what in ("cpu_percent", "memory_bytes")),
        ]
    )
    for row in seconds:
        send_lag = row.send_lag_us
        writer.writerow(
            [
                *(row.second, row.planned, row.sent, row.done, row.in_flight),
                *(row.kinds.get(kind, 0) for kind in _COUNTED),
                *((send_lag.p99 / 1_000, send_lag.max / 1_000) if send_lag else ("", "")),
                *(cell for name in names for cell in _cells(row.latency_us.get(name))),
                *(cell for each in processes.values() for cell in _load(each.get(row.second))),
            ]
        )
    return out.getvalue()


def _cells(found: Percentiles | None) -> list[object]:
    if found is None:
        return [""] * len(_FIGURES)
    return [found.count, *(getattr(found, figure) / 1_000 for figure in _FIGURES[1:])]


def _load(found: Load | None) -> list[object]:
    return ["", ""] if found is None else [round(found.cpu_percent, 1), found.memory_bytes]
