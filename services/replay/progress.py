"""Progress of a replay: a bar on a terminal, plain lines elsewhere, always on standard error."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL_S = 2.0

# Called with the next offset and the latest possible end of the replay.
Advance = Callable[[int, int], None]


@contextmanager
def progress_on_stderr() -> Iterator[Advance]:
    """The callback that shows progress; call it after every few commands."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainProgress(time.monotonic, lambda line: typer.echo(line, err=True)).advance
        return
    columns = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("replay", total=None, rate="")
        started = time.monotonic()

        def advance(position: int, end: int) -> None:
            rate = position / max(time.monotonic() - started, 1e-3)
            bar.update(task, completed=position, total=end, rate=f"{rate:,.0f} commands/s")

        yield advance


class PlainProgress:
    """Prints a line every two seconds."""

    def __init__(self, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        self._now = now
        self._tell = tell
        self._started = self._told = now()

    def advance(self, position: int, end: int) -> None:
        """Print the position, at most every two seconds."""
        now = self._now()
        if now - self._told >= PLAIN_INTERVAL_S:
            self._told = now
            self._tell(progress_line(position, end, now - self._started))


def progress_line(position: int, end: int, elapsed_s: float) -> str:
    """Position, commands per second and time left."""
    rate = position / elapsed_s
    left = f"{(end - position) / rate:,.0f} s" if rate else "unknown"
    return f"replayed {position:,} of {end:,} commands, {rate:,.0f}/s, {left} left"
