"""The reports of `exchange trim`, and the options that it refuses."""

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.trim import cuts_text, rows_text
from services.trim.log import LogCut
from services.trim.rows import TrimmedTable, first_id

ROWS = [TrimmedTable("orders", 1_234, 5), TrimmedTable("trades", 0, 0)]
CUT = LogCut(3, 10, 1_510, 7, 70, "snapshot")


def test_report_of_rows_says_what_was_deleted_and_kept() -> None:
    assert rows_text(ROWS, dry_run=False).splitlines() == [
        "orders           1,234 deleted,           5 of that age kept",
        "trades               0 deleted,           0 of that age kept",
    ]
    assert "1,234 to delete" in rows_text(ROWS, dry_run=True)


def test_report_of_the_log_says_where_each_partition_begins_and_why() -> None:
    assert cuts_text([CUT], dry_run=False) == (
        "partition 3: 1,500 commands and 63 executions deleted; begins at command 1,510, limited "
        "by the oldest settled snapshot"
    )
    assert "executions to delete" in cuts_text([CUT], dry_run=True)


@pytest.mark.parametrize("command", ["database", "log"])
@pytest.mark.parametrize("days", [["--keep-days", "0"], ["--keep-days", "-1"], []])
def test_less_than_a_day_is_refused(command: str, days: list[str]) -> None:
    assert CliRunner().invoke(app, ["trim", command, *days]).exit_code == 2


def test_first_id_has_the_time_and_nothing_else() -> None:
    assert first_id(0x0199F0A15C00) == "0199f0a1-5c00-0000-0000-000000000000"
