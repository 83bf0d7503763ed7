"""What a run looks like while it goes on: a live line on a terminal, plain lines elsewhere."""

import asyncio
import sys

from msgspec import Struct
from rich.console import Console
from rich.live import Live

from loadgen.client import LoadClient
from loadgen.record import ERROR_KINDS, Line
from loadgen.report import percentiles

# A terminal is redrawn twice a second; a log file gets a line every few seconds.
LIVE_INTERVAL_S = 0.5
PLAIN_INTERVAL_S = 5.0
WINDOW_US = 5_000_000


class Window(Struct):
    """The last seconds of a run, kept up by looking only at lines not seen yet."""

    seen: int = 0
    done: int = 0
    errors: int = 0
    recent: list[Line] = []

    def line(self, client: LoadClient, planned: int) -> str:
        """The state of things in one line."""
        fresh = list(client.records.since(self.seen))
        self.seen += len(fresh)
        fresh = [line for line in fresh if line.kind != "not_sent"]
        self.done += len(fresh)
        self.errors += sum(line.kind in ERROR_KINDS for line in fresh)
        since = client.now_us() - WINDOW_US
        self.recent = [line for line in (*self.recent, *fresh) if line.done_us >= since]
        found = percentiles(line.latency_us for line in self.recent)
        p50, p99 = (found.p50 / 1_000, found.p99 / 1_000) if found else (0.0, 0.0)
        seconds = client.now_us() // 1_000_000
        return (
            f"{seconds:3d} s  planned {planned:,}  sent {client.sent:,}  done {self.done:,}  "
            f"p50 {p50:.1f} ms  p99 {p99:.1f} ms  errors {self.errors}"
        )


async def run_with_progress(client: LoadClient, planned: int) -> None:
    """Run the client to its end, telling on standard error how it goes."""
    telling = asyncio.create_task(_tell(client, planned))
    try:
        await client.run()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(client: LoadClient, planned: int) -> None:
    window = Window()
    console = Console(stderr=True)
    if not console.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_INTERVAL_S)
            sys.stderr.write(window.line(client, planned) + "\n")
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(LIVE_INTERVAL_S)
            live.update(window.line(client, planned), refresh=True)
