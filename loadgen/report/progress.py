"""Progress of a run: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct
from rich.console import Console
from rich.live import Live
from rich.table import Table

from loadgen.client.record import ERROR_KINDS, RequestRecord
from loadgen.client.workers import State
from loadgen.report.report import percentiles

# A terminal is redrawn twice a second; a log file gets a line every few seconds.
LIVE_INTERVAL_S = 0.5
PLAIN_INTERVAL_S = 5.0
WINDOW_US = 5_000_000


class Window(Struct):
    """The last seconds of a run, updated with new records only."""

    seen: int = 0
    done: int = 0
    errors: int = 0
    recent: list[RequestRecord] = []

    def figures(self, state: State) -> dict[str, str]:
        """The present state: names and figures."""
        fresh = list(state.records.since(self.seen))
        self.seen += len(fresh)
        fresh = [line for line in fresh if line.kind not in ("not_sent", "abandoned")]
        self.done += len(fresh)
        self.errors += sum(line.kind in ERROR_KINDS for line in fresh)
        since = state.now_us - WINDOW_US
        self.recent = [line for line in (*self.recent, *fresh) if line.done_us >= since]
        found = percentiles(line.latency_us for line in self.recent)
        p50, p99 = (found.p50 / 1_000, found.p99 / 1_000) if found else (0.0, 0.0)
        due = bisect_right(state.plan.actions, state.now_us, key=lambda action: action.at_us)
        return {
            "time": f"{max(0, state.now_us) // 1_000_000} s",
            "planned": f"{due:,}",
            "sent": f"{state.sent:,}",
            "done": f"{self.done:,}",
            "p50": f"{p50:.1f} ms",
            "p99": f"{p99:.1f} ms",
            "errors": f"{self.errors:,}",
        }

    def line(self, state: State) -> str:
        """The present state in one line."""
        return "  ".join(f"{name} {figure}" for name, figure in self.figures(state).items())


class Progress:
    """Shows the progress of one plan after the other; `what` names the plan."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._what = ""
        self._window = Window()
        self._next = 0.0

    def begin(self, what: str) -> None:
        """Begin another plan."""
        self._what = what
        self._window = Window()
        self._next = time.monotonic() + (PLAIN_INTERVAL_S if self._live is None else 0)

    def tell(self, state: State) -> None:
        """Call often; it updates the display from time to time."""
        if time.monotonic() < self._next:
            return
        if self._live is None:
            self._next = time.monotonic() + PLAIN_INTERVAL_S
            sys.stderr.write(f"{self._what}: {self._window.line(state)}\n")
            return
        self._next = time.monotonic() + LIVE_INTERVAL_S
        self._live.update(_table(self._what, self._window.figures(state)), refresh=True)

    def end(self) -> None:
        """Remove the live display."""
        if self._live is not None:
            self._live.update("", refresh=True)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self._live is None:
            sys.stderr.write(line + "\n")
        else:
            self._live.console.print(line, markup=False, highlight=False)


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(None)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield Progress(live)


def _table(what: str, figures: dict[str, str]) -> Table:
    table = Table(title=what, title_justify="left")
    for name in figures:
        table.add_column(name, justify="right", min_width=8)
    table.add_row(*figures.values())
    return table
