"""Progress of a long command on standard error, with one look for all commands.

`replay   42 %  12,345 of 29,000 commands  3,210/s  5 s left`: a terminal has one line that is
rewritten; elsewhere a line is written every few seconds.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

# A terminal is redrawn twice a second; a log file gets a line every few seconds.
TERMINAL_INTERVAL_S: Final = 0.5
PLAIN_INTERVAL_S: Final = 5.0
# The rate is that of the last seconds; the remaining time counts on the average since the start.
RATE_WINDOW_S: Final = 10.0
# For a terminal that does not report its width.
COLUMNS_DEFAULT: Final = 80
# Returns to the start of the line and clears it.
CLEAR_LINE: Final = "\r\x1b[2K"

Write = Callable[[str], None]


def _ignore(_: str) -> None:
    """Accept a line and drop it."""


class Progress:
    """Shows one piece of work after the other. `write` gets the lines that stay.

    Without arguments it shows nothing. A watching thread may update while another says a line.
    """

    def __init__(
        self,
        write: Write = _ignore,
        terminal: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._terminal = terminal
        self._now = now
        self._interval_s = PLAIN_INTERVAL_S if terminal is None else TERMINAL_INTERVAL_S
        # Keeps a line that stays from being mixed with the line that is rewritten.
        self._lock = threading.Lock()
        self.begin("")

    def begin(self, what: str, total: int | None = None, unit: str = "") -> None:
        """Start another piece of work: `total` units of work, if that is known already."""
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._first: tuple[float, int] | None = None
        self._recent: deque[tuple[float, int]] = deque()
        # Work that is done within an interval needs no line in a log file.
        self._next_s = self._now() + (0.0 if self._terminal else self._interval_s)

    @property
    def due(self) -> bool:
        """True if the next update will be shown; for callers whose details cost time."""
        return self._now() >= self._next_s

    def advance(self, count: int) -> None:
        """Add units of finished work."""
        self.update(self._done + count)

    def update(self, done: int, detail: str = "", *, total: int | None = None) -> None:
        """Set the finished work, and a new total if it has changed. Call often."""
        now = self._now()
        self._done = done
        self._total = self._total if total is None else total
        # The first position counts as the start: work may begin in the middle of a log.
        self._first = self._first or (now, done)
        if now < self._next_s:
            return
        self._next_s = now + self._interval_s
        line = self._line(now, detail)
        if self._terminal is None:
            self._write(line)
        else:
            with self._lock:
                self._draw(self._terminal, line)

    def say(self, line: str) -> None:
        """Write a line that stays."""
        with self._lock:
            if self._terminal is not None:
                self._draw(self._terminal, "")
            self._write(line)

    def end(self) -> None:
        """Remove the line from a terminal."""
        if self._terminal is not None:
            with self._lock:
                self._draw(self._terminal, "")

    def _line(self, now: float, detail: str) -> str:
        first_s, first = self._first or (now, self._done)
        recent = self._recent or deque([(first_s, first)])
        while len(recent) > 1 and recent[1][0] <= now - RATE_WINDOW_S:
            recent.popleft()
        rate = _per_s(self._done - recent[0][1], now - recent[0][0])
        average = _per_s(self._done - first, now - first_s)
        recent.append((now, self._done))
        self._recent = recent
        return progress_line(
            self._what,
            done=self._done,
            total=self._total,
            unit=self._unit,
            rates=(rate, average),
            detail=detail,
        )

    def _draw(self, terminal: TextIO, line: str) -> None:
        try:
            columns = os.get_terminal_size(terminal.fileno()).columns
        except OSError:
            columns = COLUMNS_DEFAULT
        # A full line would wrap, and could not be cleared any more.
        terminal.write(CLEAR_LINE + line[: columns - 1])
        terminal.flush()


@contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """The progress display of a command; its line is removed at the end."""

    def write(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    progress = Progress(write, sys.stderr if sys.stderr.isatty() else None)
    try:
        yield progress
    finally:
        progress.end()


def progress_line(
    what: str,
    *,
    done: int,
    total: int | None,
    unit: str,
    rates: tuple[float | None, float | None],
    detail: str = "",
) -> str:
    """The line in plain text. `rates`: units a second now and on average; None if unknown.

    The rate is left out for work without a unit, such as a list of steps of different lengths.
    """
    rate, average = rates
    parts = [what]
    if total:
        parts.append(f"{100 * min(done, total) / total:3.0f} %")
    counted = f"{done:,}" if total is None else f"{done:,} of {total:,}"
    parts.append(f"{counted} {unit}".rstrip())
    if unit and rate is not None:
        parts.append(f"{rate:,.0f}/s")
    if total and average:
        parts.append(f"{duration(max(0, total - done) / average)} left")
    return "  ".join(part for part in (*parts, detail) if part)


def duration(seconds: float) -> str:
    """A time in two units at most: `5 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    minutes, rest_s = divmod(whole, 60)
    hours, rest_min = divmod(minutes, 60)
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{whole} s"


def _per_s(count: int, seconds: float) -> float | None:
    return count / seconds if seconds > 0 else None
