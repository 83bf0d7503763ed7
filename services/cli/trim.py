"""`exchange trim`: deletes what is older than a number of days."""

from typing import Annotated

import typer

from services.cli.settings import readable_errors, show
from services.local.data_dir import operator_settings
from services.runtime.clock import now_ms
from services.runtime.postgres.connection import checked_url
from services.runtime.progress import progress_on_stderr
from services.runtime.settings import Settings, require
from services.trim.log import SETTLED_MS, Bounds, LogCut, trim_log
from services.trim.rows import TrimmedTable, trim_rows

DAY_MS = 86_400_000
KeepDays = Annotated[int, typer.Option(help="Keep everything of the last so many days.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count only, and delete nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

app = typer.Typer(
    help="Delete what is old. Safe while the exchange runs, and safe to repeat.",
    no_args_is_help=True,
)


@app.command()
def database(*, keep_days: KeepDays, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Delete closed orders and trades from PostgreSQL, in portions.

    Balances and prices stay. Open orders stay with their trades, and trades stay while a webhook
    of them is stored (EXCHANGE_WEBHOOK_KEEP_DAYS). Deleted orders are answered with 404.
    """
    with readable_errors():
        url = _settings().database_url
        before_ms = now_ms() - keep_days * DAY_MS
        with progress_on_stderr() as progress:
            done = trim_rows(url, before_ms, progress, dry_run=dry_run)
        show(done, as_json=as_json, text=lambda rows: rows_text(rows, dry_run=dry_run))


@app.command()
def log(*, keep_days: KeepDays, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Delete the beginning of the command log and of the executions.

    Stops before the oldest snapshot that can be restored and was written more than an hour ago,
    and before the position of PostgreSQL. Afterwards PostgreSQL is the only copy of older orders
    and balances: keep backups of it, and at least as many days of the log as the oldest of them.
    """
    with readable_errors():
        settings = _settings()
        now = now_ms()
        bounds = Bounds(now - keep_days * DAY_MS, now - SETTLED_MS)
        cuts = trim_log(settings, bounds, dry_run=dry_run)
        show(cuts, as_json=as_json, text=lambda found: cuts_text(found, dry_run=dry_run))


def _settings() -> Settings:
    settings = operator_settings()
    checked_url(require(settings.database_url, "database_url"))
    return settings


def rows_text(rows: list[TrimmedTable], *, dry_run: bool) -> str:
    """One line for each table."""
    verb = "to delete" if dry_run else "deleted"
    return "\n".join(
        f"{row.table:<8} {row.deleted:>13,} {verb}, {row.kept:>11,} of that age kept"
        for row in rows
    )


_LIMITS = {
    "age": "the age",
    "snapshot": "the oldest settled snapshot",
    "database": "PostgreSQL's position",
}


def cuts_text(cuts: list[LogCut], *, dry_run: bool) -> str:
    """One line for each partition."""
    verb = "to delete" if dry_run else "deleted"
    return "\n".join(
        f"partition {cut.partition}: {cut.commands_cut - cut.commands_low:,} commands and "
        f"{cut.executions_cut - cut.executions_low:,} executions {verb}; begins at command "
        f"{cut.commands_cut:,}, limited by {_LIMITS[cut.limit]}"
        for cut in cuts
    )
