"""Result of a run, written as `summary.json` and read back by `loadgen compare`. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from loadgen.client.client import Transport
from loadgen.client.record import OPERATIONS, Operation
from loadgen.client.streams import StreamsReport
from loadgen.client.workers import INTERRUPTED, RunResult
from loadgen.report.machine import Machine
from loadgen.report.report import ALL, Report, as_text, report
from loadgen.report.threshold import Threshold, ThresholdVerdict, judge
from loadgen.workload.orderflow import (
    Action,
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedRead,
    PlannedReplace,
    Profile,
)

SCHEMA_VERSION: Final = 2
# Version 1 differs only in the name of `send_lag_us`, and is read, too.
_VERSION_WITH_SLIP: Final = 1
# The most traded symbols in `skew`.
SYMBOLS_MAX: Final = 10

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_INVALID: Final = 98
EXIT_THRESHOLD: Final = 99
EXIT_INTERRUPTED: Final = 130

Audit = Literal["holds", "fails", "left out"]


class SummaryError(Exception):
    """The file is no summary, or one of another version; the text gives the reason."""


class Config(Struct, frozen=True):
    """Parameters of the run. `scale` in per cent of the profile's rate; None: a plan from a
    file. `batch`: orders in one request. `transport`: the way of orders and cancels."""

    url: str
    scale: float | None
    duration_s: int
    seed: int
    processes: int
    warm_up_s: int
    profile: Profile
    batch: int = 1
    transport: Transport = "http"


class Share(Struct, frozen=True):
    """Share of an operation among all requests, or of a symbol among all orders."""

    planned_percent: float
    sent_percent: float


class Cost(Struct, frozen=True):
    """Cost of one process over the run."""

    cpu_s: float
    cpu_us_per_request: int
    memory_bytes_max: int


class Summary(Struct, frozen=True, kw_only=True):
    """The summary. `complete`: everything planned was sent and answered; else `why` not.

    `valid`: requests left on time, so that the latencies are the exchange's. `errors_before`: while
    filling the books and warming up.
    """

    schema_version: int
    complete: bool
    why: str
    valid: bool
    exit_code: int
    config: Config
    machine: Machine
    commit: str
    started_at: str
    planned: int
    sent: int
    done: int
    planned_per_s: float
    done_per_s: float
    errors: int
    errors_percent: float
    errors_before: int
    figures: Report
    mix: dict[str, Share]
    skew: dict[str, Share]
    processes: dict[str, Cost]
    thresholds: list[ThresholdVerdict]
    audit: Audit
    streams: StreamsReport | None = None


class RunContext(Struct, frozen=True):
    """Facts of a run besides its requests."""

    config: Config
    machine: Machine
    commit: str
    started_at: str
    errors_before: int
    audit: Audit
    streams: StreamsReport | None = None


def summary(ran: RunResult, context: RunContext, thresholds: Sequence[Threshold]) -> Summary:
    """Compute the summary, with the reason why the run ended."""
    figures = report(ran.records, ran.cpu_s)
    done = figures.sent - figures.kinds.get("abandoned", 0)
    last_done_us = max((line.done_us for line in ran.records), default=0)
    duration_s = context.config.duration_s
    verdicts = [judge(each, figures) for each in thresholds]
    found = Summary(
        schema_version=SCHEMA_VERSION,
        complete=not ran.why,
        why=ran.why,
        valid=not figures.late,
        exit_code=EXIT_OK,
        config=context.config,
        machine=context.machine,
        commit=context.commit,
        started_at=context.started_at,
        planned=len(ran.plan.actions),
        sent=figures.sent,
        done=done,
        planned_per_s=len(ran.plan.actions) / duration_s,
        done_per_s=done / max(0.001, last_done_us / 1_000_000),
        errors=figures.errors,
        errors_percent=figures.errors_percent,
        errors_before=context.errors_before,
        figures=figures,
        mix=_mix(ran, figures),
        skew=_skew(ran),
        processes=_costs(ran, figures.sent),
        thresholds=verdicts,
        audit=context.audit,
        streams=context.streams,
    )
    tolerated = any(each.about_errors for each in thresholds)
    return msgspec.structs.replace(found, exit_code=_exit_code(found, tolerated=tolerated))


def _exit_code(found: Summary, *, tolerated: bool) -> int:
    """The exit code, worst reason first. Any error fails a run unless a threshold allows it."""
    if found.why == INTERRUPTED:
        return EXIT_INTERRUPTED
    errors = found.errors_before + (0 if tolerated else found.errors)
    if not found.complete or errors or found.audit == "fails":
        return EXIT_FAILED
    if not found.valid:
        return EXIT_INVALID
    return EXIT_OK if all(each.holds for each in found.thresholds) else EXIT_THRESHOLD


def encode(found: Summary) -> bytes:
    """Encode for a file that is readable for people, too."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def decode(raw: bytes) -> Summary:
    """Decode a summary. Raises SummaryError."""
    try:
        version = msgspec.json.decode(raw, type=_SummaryHead).schema_version
        if version == _VERSION_WITH_SLIP:
            found = msgspec.json.decode(raw.replace(b'"slip_us"', b'"send_lag_us"'), type=Summary)
            return msgspec.structs.replace(found, schema_version=SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise SummaryError(f"is of version {version}, this program reads {SCHEMA_VERSION}")
        return msgspec.json.decode(raw, type=Summary)
    except msgspec.MsgspecError as error:
        raise SummaryError(f"is no summary of a run: {error}") from error


class _SummaryHead(Struct):
    schema_version: int


def lines_of(found: Summary) -> Iterator[str]:
    """The summary as text for standard output."""
    config = found.config
    scale = "a plan from a file" if config.scale is None else f"{config.scale:g} % of the profile"
    yield f"{scale}, {config.duration_s} s, seed {config.seed}, {config.url}"
    yield (
        f"planned {found.planned_per_s:,.0f}/s  done {found.done_per_s:,.0f}/s  "
        f"planned {found.planned:,}  sent {found.sent:,}  done {found.done:,}"
    )
    yield from as_text(found.figures)
    for name, cost in found.processes.items():
        yield (
            f"{name:<12}{cost.cpu_us_per_request:>10,}  us of CPU a request, "
            f"{cost.memory_bytes_max >> 20:,} MiB"
        )
    if found.streams is not None:
        yield found.streams.line()
    for verdict in found.thresholds:
        yield f"threshold   {'holds' if verdict.holds else 'FAILED':>10}  {verdict.text}"
    if found.errors_before:
        yield f"errors      {found.errors_before:>10,}  before the window"
    if not found.valid:
        yield "INVALID: requests left late, so these latencies include the generator's own"
    if not found.complete:
        yield f"INCOMPLETE: {found.why}"


def _mix(ran: RunResult, figures: Report) -> dict[str, Share]:
    planned = Counter(operation_of(action) for action in ran.plan.actions)
    sent = Counter({name: found.count for name, found in figures.latency_us.items()})
    return {
        name: Share(_percent(planned[name], planned.total()), _percent(sent[name], sent[ALL]))
        for name in OPERATIONS
    }


def operation_of(action: Action) -> Operation:
    """The name under which an action is reported."""
    match action:
        case PlannedOrder():
            return "order"
        case PlannedReplace():
            return "replace"
        case PlannedCancel():
            return "cancel"
        case PlannedRead(read=read):
            return read


def _skew(ran: RunResult) -> dict[str, Share]:
    """The most traded symbols: their planned share of volume, and their share of the orders
    sent."""
    plan = ran.plan
    last_us = max((line.intended_us for line in ran.records), default=-1)
    orders = Counter(_symbols(plan, last_us))
    total_ppm = sum(plan.shares_ppm)
    return {
        plan.symbols[number]: Share(
            _percent(plan.shares_ppm[number], total_ppm), _percent(orders[number], orders.total())
        )
        for number in range(min(SYMBOLS_MAX, len(plan.symbols)))
    }


def _symbols(plan: Plan, until_us: int) -> Iterator[int]:
    """The symbol of each order due until then."""
    for action in plan.actions:
        if isinstance(action, PlannedOrder) and action.at_us <= until_us:
            yield action.symbol


def _costs(ran: RunResult, sent: int) -> dict[str, Cost]:
    found: dict[str, Cost] = {}
    for name in dict.fromkeys(name for sample in ran.samples for name in sample.usage):
        usages = [sample.usage[name] for sample in ran.samples if name in sample.usage]
        cpu_s = usages[-1].cpu_s - usages[0].cpu_s
        found[name] = Cost(
            round(cpu_s, 2),
            int(cpu_s * 1_000_000 / max(1, sent)),
            max(usage.memory_bytes for usage in usages),
        )
    return found


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
