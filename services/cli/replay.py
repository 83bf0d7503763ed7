"""`exchange replay`: recomputes command logs with fresh engines."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Meta

from schemas.units import milliseconds, rfc3339
from services.cli.settings import readable_errors
from services.local.data_dir import operator_settings
from services.matcher.engine import Engine
from services.replay.dump import dump
from services.replay.parallel import run_all
from services.replay.recompute import ReplaySummary
from services.replay.run import ReplayRequest, run_replay
from services.runtime.errors import SettingsError
from services.runtime.progress import progress_on_stderr

STDOUT = Path("-")


def replay(
    *,
    partition: Annotated[
        int | None,
        typer.Option(help="Which partition, from 0; all of them on all cores if not given."),
    ] = None,
    from_snapshot: Annotated[
        bool,
        typer.Option(
            "--from-snapshot/--from-start",
            help="Begin at the matcher's newest good snapshot, or with an empty engine.",
        ),
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            "--until-offset",
            "--until-time",
            help="Stop before this command offset (of one partition), or before the first command "
            "logged at this RFC 3339 time or later.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Compare every outcome with the recorded one, and the engine at each snapshot.",
        ),
    ] = False,
    dump_to: Annotated[
        Path | None,
        typer.Option(
            "--dump",
            help="Write books and open orders of one partition as JSON; - is standard output, and "
            "the summary then goes to standard error.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Recompute partitions from their command logs. Only reads. --json of all is an array.

    Exit code 0: done; 1: --verify found a difference; 2: bad usage or settings; 3: Kafka cannot be
    read, or the log's beginning is gone; 6: the log contradicts itself.
    """
    with readable_errors():
        request = ReplayRequest(partition or 0, *bound(until), verify, from_snapshot)
        replayed = _replay_all if partition is None else _replay
        found = replayed(request, dump_to, as_json=as_json)
        if any(summary.differences for summary in found):
            raise typer.Exit(1)


def _replay_all(
    request: ReplayRequest, dump_to: Path | None, *, as_json: bool
) -> list[ReplaySummary]:
    if dump_to is not None or request.until_offset is not None:
        raise SettingsError("--dump and --until-offset need one partition: give --partition too")
    settings = operator_settings()
    with progress_on_stderr() as progress:
        found = run_all(settings, request, progress)
    text = "\n\n".join(map(summary_text, found))
    typer.echo(msgspec.json.encode(found).decode() if as_json else text)
    return found


def _replay(request: ReplayRequest, dump_to: Path | None, *, as_json: bool) -> list[ReplaySummary]:
    check_dump_path(dump_to)
    settings = operator_settings()
    with progress_on_stderr() as progress:
        done = run_replay(settings, request, progress)
    summary = done.summary(verified=request.verify)
    if dump_to is not None:
        _write_dump(dump_to, done.engine, done.next_offset)
    typer.echo(
        msgspec.json.encode(summary).decode() if as_json else summary_text(summary),
        err=dump_to == STDOUT,
    )
    return [summary]


def bound(text: str | None) -> tuple[int | None, int | None]:
    """Parse an offset, or an RFC 3339 time to milliseconds, rounded up. Raises SettingsError."""
    if text is None:
        return None, None
    if text.isascii() and text.isdecimal():
        return int(text), None
    try:
        instant = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"until {text!r}: write an offset, or a time with its zone, such as "
            f"2026-11-23T13:00:00Z"
        ) from error
    return None, milliseconds(instant)


def check_dump_path(path: Path | None) -> None:
    """Check that the file can be written before a long replay starts. Raises SettingsError."""
    if path is None or path == STDOUT:
        return
    if path.is_dir() or not path.parent.is_dir():
        raise SettingsError(f"--dump {path}: the file cannot be written; choose another path")


def summary_text(summary: ReplaySummary) -> str:
    """The summary as text."""
    lines = [
        f"partition     {summary.partition}",
        f"commands      {summary.commands:,} from {summary.begun_at} on",
        f"next offset   {summary.next_offset}",
        f"clock         {rfc3339(summary.clock)}",
        f"open orders   {summary.open_orders:,}",
        f"digest        {summary.digest}",
    ]
    if summary.verified:
        lines += [
            f"compared      {summary.compared:,} outcomes, {summary.snapshots:,} snapshots",
            f"not recorded  {summary.not_recorded:,}",
            f"differences   {summary.differences:,}",
        ]
    for sample in summary.samples:
        lines += [
            f"{summary.partition}@{sample.offset}",
            f"  recorded    {sample.recorded}",
            f"  recomputed  {sample.recomputed}",
        ]
    return "\n".join(lines)


def _write_dump(path: Path, engine: Engine, next_offset: int) -> None:
    written = msgspec.json.encode(dump(engine, next_offset))
    if path == STDOUT:
        typer.echo(written)
        return
    try:
        path.write_bytes(written + b"\n")
    except OSError as error:
        raise SettingsError(f"--dump {path}: {error.strerror}") from error
