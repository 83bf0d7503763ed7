"""An event loop whose clock a test moves."""

import asyncio
from asyncio import SelectorEventLoop


class ClockLoop(SelectorEventLoop):
    """Its clock goes on by itself, and further when a test moves it."""

    moved_s = 0.0

    def time(self) -> float:
        """Seconds, monotonic."""
        return super().time() + self.moved_s

    async def move(self, seconds: float) -> None:
        """Move the clock, and run what is due then."""
        self.moved_s += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)
