"""`exchange audit`: compares all derived data with the command log."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from services.audit.client_log import ClientLogError, read_client_log
from services.audit.report import Invariant
from services.audit.run import run_audit
from services.cli.settings import readable_errors, show
from services.local.data_dir import operator_settings
from services.runtime.errors import RefusedError
from services.runtime.postgres.connection import checked_url
from services.runtime.progress import progress_on_stderr
from services.runtime.settings import require

WAIT_S_DEFAULT = 10.0


class AuditResult(Struct, frozen=True):
    """Output of `--json`."""

    holds: bool
    invariants: list[Invariant]


def audit(
    *,
    client_log: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines of the answers that clients received; the load generator writes them."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Seconds to let PostgreSQL catch up with the log.", min=0)
    ] = WAIT_S_DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Recompute the whole log, check the market's rules, compare topics, snapshots and PostgreSQL.

    Only reads. Exit code 0: everything holds; 1: something differs; 3: something cannot be read.
    """
    with readable_errors():
        settings = operator_settings()
        checked_url(require(settings.database_url, "database_url"))
        lines = None
        if client_log is not None:
            try:
                with client_log.open("rb") as file:
                    lines = read_client_log(file)
            except (OSError, ClientLogError) as error:
                raise RefusedError(f"{client_log}: {error}") from error
        with progress_on_stderr() as progress:
            report = run_audit(settings, lines, wait, progress)
        result = AuditResult(report.holds, report.invariants())
        show(result, as_json=as_json, text=lambda _: "\n".join(report.lines()))
        if not report.holds:
            raise typer.Exit(1)
