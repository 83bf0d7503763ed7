"""The progress display: percent, rate and remaining time, on a terminal and elsewhere."""

import io

import pytest

from services.runtime.progress import (
    CLEAR_LINE,
    COLUMNS_DEFAULT,
    PLAIN_INTERVAL_S,
    Progress,
    duration,
    progress_line,
)


def shown(*updates: tuple[float, int], first: int = 0, total: int | None = 200) -> list[str]:
    """Lines of a display that is updated at these seconds since its beginning."""
    lines: list[str] = []
    clock = [100.0]
    progress = Progress(lines.append, now=lambda: clock[0])
    progress.begin("replay", total, "commands")
    progress.update(first)
    for seconds, done in updates:
        clock[0] = 100.0 + seconds
        progress.update(done)
    return lines


def test_line_has_percent_count_rate_and_remaining_time() -> None:
    line = progress_line(
        "replay", done=50, total=200, unit="commands", rates=(20.0, 25.0), detail="p99 5 ms"
    )
    assert line == "replay   25 %  50 of 200 commands  20/s  6 s left  p99 5 ms"


@pytest.mark.parametrize(
    ("total", "unit", "rates", "line"),
    [
        (None, "commands", (5.0, 5.0), "x  50 commands  5/s"),
        (200, "commands", (None, None), "x   25 %  50 of 200 commands"),
        (200, "", (5.0, 5.0), "x   25 %  50 of 200  30 s left"),
        (40, "commands", (5.0, 5.0), "x  100 %  50 of 40 commands  5/s  0 s left"),
        (0, "commands", (None, None), "x  50 of 0 commands"),
    ],
)
def test_line_omits_unknown_values(
    total: int | None, unit: str, rates: tuple[float | None, float | None], line: str
) -> None:
    assert progress_line("x", done=50, total=total, unit=unit, rates=rates) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (3_600, "1 h 0 min"), (9_000, "2 h 30 min")],
)
def test_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_display_without_a_terminal_writes_one_line_per_interval() -> None:
    lines = shown((1, 10), (PLAIN_INTERVAL_S, 50), (PLAIN_INTERVAL_S + 1, 60), (10, 100))
    assert lines == [
        "replay   25 %  50 of 200 commands  10/s  15 s left",
        "replay   50 %  100 of 200 commands  10/s  10 s left",
    ]


def test_display_of_work_within_one_interval_writes_nothing() -> None:
    assert shown((PLAIN_INTERVAL_S - 1, 200)) == []


def test_rate_is_recent_and_remaining_time_uses_the_average() -> None:
    lines = shown((10, 100), (20, 100), (30, 110))
    assert lines[-1] == "replay   55 %  110 of 200 commands  1/s  25 s left"


def test_rate_of_resumed_work_excludes_earlier_work() -> None:
    (line,) = shown((10, 150), first=100)
    assert line == "replay   75 %  150 of 200 commands  5/s  10 s left"


def test_display_advances_by_counts_and_restarts_with_new_work() -> None:
    lines: list[str] = []
    clock = [0.0]
    progress = Progress(lines.append, now=lambda: clock[0])
    progress.begin("audit", 30)
    for clock[0] in (1.0, 6.0):
        progress.advance(10)
    progress.begin("sums", 10)
    clock[0] = 12.0
    due = [progress.due]
    progress.advance(5)
    assert [*due, progress.due] == [True, False]
    assert lines == ["audit   67 %  20 of 30  5 s left", "sums   50 %  5 of 10"]


def test_terminal_line_is_rewritten_kept_from_wrapping_and_removed() -> None:
    terminal, lines = io.StringIO(), list[str]()
    progress = Progress(lines.append, terminal)
    progress.begin("x" * 200)
    progress.update(1)
    progress.say("stays")
    progress.end()
    drawn = terminal.getvalue().split(CLEAR_LINE)
    assert drawn == ["", "x" * (COLUMNS_DEFAULT - 1), "", ""]
    assert lines == ["stays"]


def test_display_without_arguments_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(now=iter(range(0, 1_000, 100)).__next__)
    progress.update(1)
    progress.update(2)
    progress.say("dropped")
    assert capsys.readouterr() == ("", "")
