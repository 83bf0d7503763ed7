"""Audits the partitions, each in a process, as many at a time as cores.

Each partition is audited separately, on a separate connection to one snapshot of PostgreSQL.
"""

from collections.abc import Mapping
from contextlib import closing
from functools import partial

from msgspec import Struct

from schemas.brokers import Broker
from services.audit.client_log import ClientLine, ClientLog
from services.audit.database import Database
from services.audit.ledger import Totals
from services.audit.partition import Cut, PartitionAudit, Tools
from services.audit.report import AuditReport, Invariant
from services.audit.stored_sums import StoredSums
from services.runtime.postgres.connection import command_errors
from services.runtime.processes import Advance, run_in_processes
from services.runtime.progress import Progress
from services.runtime.settings import Settings

# A process needs about a second to start; fewer commands are audited in less time.
COMMANDS_MIN = 20_000


class Shared(Struct, frozen=True):
    """Inputs of the audits of all partitions. `topic_id`: of the executions topic; `snapshot`:
    PostgreSQL's, which lasts as long as the connection that exported it."""

    settings: Settings
    topic_id: str
    snapshot: str
    brokers: tuple[Broker, ...]
    client_lines: tuple[ClientLine, ...] | None


class PartitionFindings(Struct, frozen=True):
    """The result for one partition."""

    invariants: list[Invariant]
    totals: Totals
    stored: StoredSums
    client_log: ClientLog | None


def audit_partitions(
    shared: Shared, cuts: Mapping[int, Cut], progress: Progress
) -> list[PartitionFindings]:
    """The findings of all partitions, in their order. Raises as `PartitionAudit.run`."""
    commands = sum(cut.log for cut in cuts.values())
    progress.begin("audit", commands, "commands")
    work = partial(_audit, shared)
    tasks = list(cuts.items())
    if commands < COMMANDS_MIN:
        return [work(task, progress.advance) for task in tasks]
    remedy = "run the audit with fewer partitions at a time: taskset -c 0 exchange audit"
    return run_in_processes(work, tasks, progress.advance, remedy)


def _audit(shared: Shared, task: tuple[int, Cut], advance: Advance) -> PartitionFindings:
    number, cut = task
    report, totals = AuditReport(), Totals()
    client_log = None if shared.client_lines is None else ClientLog(shared.client_lines)
    settings = shared.settings
    with (
        command_errors(),
        closing(Database(settings.database_url, report, shared.snapshot)) as database,
    ):
        database.positions()
        database.webhooks.begin(shared.brokers)
        tools = Tools(settings, shared.topic_id, report, totals, database, client_log, advance)
        PartitionAudit(number, cut, tools).run()
        return PartitionFindings(report.invariants(), totals, database.sums, client_log)
