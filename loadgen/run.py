"""`loadgen run`: one flow at one scale, measured, audited, reported."""

from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct, structs

from loadgen.client.client import Transport
from loadgen.client.session import Session
from loadgen.client.streams import StreamsReport, streams
from loadgen.client.target import Target, at_url, fresh_exchange
from loadgen.client.workers import RunResult
from loadgen.report.files import write_report
from loadgen.report.machine import commit, this_machine
from loadgen.report.summary import Config, RunContext, Summary, summary
from loadgen.report.threshold import Threshold
from loadgen.workload.orderflow import Plan
from schemas.units import rfc3339
from services.runtime.progress import Progress


class TargetSpec(Struct, frozen=True):
    """The exchange to load. Without a URL: a fresh one."""

    url: str | None
    admin_key: str | None
    pids: dict[str, int]


class RunOptions(Struct, frozen=True):
    """Options for sending and judging a flow. `scale` is recorded in the summary.

    `batch`: orders in one request; 1: single calls. `transport`: the way of orders and cancels.
    `streams`: live feeds that are open during the measurement.
    """

    scale: float | None
    processes: int
    warm_up_s: int
    give_up_s: float
    audit: bool
    thresholds: tuple[Threshold, ...]
    batch: int = 1
    transport: Transport = "http"
    streams: int = 0

    def at(self, scale: float | None) -> "RunOptions":
        """The same options at this scale."""
        return structs.replace(self, scale=scale)


def open_target(
    target_spec: TargetSpec, shares_ppm: dict[str, int], progress: Progress, ending: ExitStack
) -> Target:
    """The target, which exists until `ending` unwinds."""
    if target_spec.url and target_spec.admin_key:
        return at_url(target_spec.url, target_spec.admin_key, target_spec.pids)
    return ending.enter_context(fresh_exchange(shares_ppm, progress.say))


def session_of(target: Target, progress: Progress, run_options: RunOptions) -> Session:
    """A session with the processes, transport and bounds of the options."""
    return Session(
        target,
        progress,
        run_options.processes,
        run_options.give_up_s,
        run_options.batch,
        run_options.transport,
    )


def run_flow(
    flow: Plan, target_spec: TargetSpec, run_options: RunOptions, folder: Path, progress: Progress
) -> Summary:
    """All steps from a ready exchange to the files of the report."""
    with ExitStack() as ending:
        target = open_target(target_spec, flow.shares(), progress, ending)
        session = session_of(target, progress, run_options)
        session.prepare(flow.profile, flow.seed)
        return measure(session, flow, run_options, folder, progress)


def measure(
    session: Session, flow: Plan, run_options: RunOptions, folder: Path, progress: Progress
) -> Summary:
    """Warm up, run, audit; the report is written in any case."""
    profile = flow.profile
    session.warm_up(profile, flow.seed, run_options.warm_up_s)
    progress.say(f"{len(flow.actions):,} requests in {profile.duration_s} s, open loop:")
    errors_before, session.errors_before = session.errors_before, 0
    with ExitStack() as ending:
        reports: list[StreamsReport] = []
        if run_options.streams:
            progress.say(f"opening {run_options.streams:,} streams ...")
            reports = ending.enter_context(streams(session.streams(flow, run_options.streams)))
        ran = session.run(flow, "run")
    config = Config(
        url=session.target.url,
        scale=run_options.scale,
        duration_s=profile.duration_s,
        seed=flow.seed,
        processes=run_options.processes,
        warm_up_s=run_options.warm_up_s,
        profile=profile,
        batch=run_options.batch,
        transport=run_options.transport,
    )
    around = RunContext(
        config=config,
        machine=this_machine(),
        commit=commit(),
        started_at=rfc3339(ran.started_at_ms),
        errors_before=errors_before,
        audit="left out",
        streams=reports[0] if reports else None,
    )
    found = _written(ran, around, run_options, folder)
    if run_options.audit and not ran.why:
        # The figures are written before the audit, which may fail.
        around = structs.replace(around, audit=session.audit())
        found = _written(ran, around, run_options, folder)
    return found


def _written(ran: RunResult, around: RunContext, run_options: RunOptions, folder: Path) -> Summary:
    found = summary(ran, around, run_options.thresholds)
    write_report(folder, ran, found)
    return found
