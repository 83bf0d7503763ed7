"""The report of a run as files: summary.json, timeseries.csv, report.html."""

from pathlib import Path

from loadgen.client.workers import RunResult
from loadgen.report.page import page
from loadgen.report.seconds import as_csv, per_second
from loadgen.report.summary import Summary, SummaryError, decode, encode

SUMMARY = "summary.json"


def write_report(folder: Path, ran: RunResult, found: Summary) -> None:
    """Write the report into a folder, which is created; an earlier report there is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = per_second((action.at_us for action in ran.plan.actions), ran.records)
    (folder / SUMMARY).write_bytes(encode(found))
    (folder / "timeseries.csv").write_text(as_csv(seconds, ran.samples), encoding="utf-8")
    (folder / "report.html").write_text(page(found, ran, seconds), encoding="utf-8")


def read_summary(path: Path) -> Summary:
    """Read the summary of a report's folder, or a summary.json. Raises SummaryError."""
    file = path / SUMMARY if path.is_dir() else path
    try:
        return decode(file.read_bytes())
    except OSError as error:
        raise SummaryError(f"{file}: {error.strerror}") from error
    except SummaryError as error:
        raise SummaryError(f"{file} {error}") from error
