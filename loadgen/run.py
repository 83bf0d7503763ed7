"""`loadgen run`: one flow at one scale, measured, audited, reported."""

from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct, structs

from loadgen.client.session import Session
from loadgen.client.target import Target, at_url, fresh_exchange
from loadgen.client.workers import Ran
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
    """Options for sending and judging a flow. `scale` is recorded in the summary."""

    scale: float | None
    processes: int
    warm_up_s: int
    give_up_s: float
    audit: bool
    thresholds: tuple[Threshold, ...]

    def at(self, scale: float | None) -> "RunOptions":
        """The same options at this scale."""
        return structs.replace(self, scale=scale)


def open_target(
    where: TargetSpec, shares_ppm: dict[str, int], progress: Progress, ending: ExitStack
) -> Target:
    """The target, which exists until `ending` unwinds."""
    if where.url and where.admin_key:
        return at_url(where.url, where.admin_key, where.pids)
    return ending.enter_context(fresh_exchange(shares_ppm, progress.say))


def run_flow(
    flow: Plan, where: TargetSpec, how: RunOptions, folder: Path, progress: Progress
) -> Summary:
    """All steps from a ready exchange to the files of the report."""
    with ExitStack() as ending:
        target = open_target(where, flow.shares(), progress, ending)
        session = Session(target, progress, how.processes, how.give_up_s)
        session.prepare(flow.profile, flow.seed)
        return measure(session, flow, how, folder, progress)


def measure(
    session: Session, flow: Plan, how: RunOptions, folder: Path, progress: Progress
) -> Summary:
    """Warm up, run, audit; the report is written in any case."""
    profile = flow.profile
    session.warm_up(profile, flow.seed, how.warm_up_s)
    progress.say(f"{len(flow.actions):,} requests in {profile.duration_s} s, open loop:")
    errors_before, session.errors_before = session.errors_before, 0
    ran = session.run(flow, "run")
    config = Config(
        url=session.target.url,
        scale=how.scale,
        duration_s=profile.duration_s,
        seed=flow.seed,
        processes=how.processes,
        warm_up_s=how.warm_up_s,
        profile=profile,
    )
    around = RunContext(
        config=config,
        machine=this_machine(),
        commit=commit(),
        started_at=rfc3339(ran.started_at_ms),
        errors_before=errors_before,
        audit="left out",
    )
    found = _written(ran, around, how, folder)
    if how.audit and not ran.why:
        # The figures are written before the audit, which may fail.
        around = structs.replace(around, audit=session.audit())
        found = _written(ran, around, how, folder)
    return found


def _written(ran: Ran, around: RunContext, how: RunOptions, folder: Path) -> Summary:
    found = summary(ran, around, how.thresholds)
    write_report(folder, ran, found)
    return found
