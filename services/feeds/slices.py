"""The work of a flush in slices, between which the loop serves requests."""

import asyncio
import time
from typing import Final

from services.runtime.metrics import STREAM_FLUSH_SECONDS

# Longest work before the loop turns.
SLICE_S: Final = 0.0005
# Between slices that write. The kernel rarely takes the CPU from a process that often waits, so an
# order beside a large flush waits for one slice, not for the programs that the flush woke up.
PAUSE_S: Final = 0.001
# A flush that takes longer goes on without pauses, or many clients would make each of them late.
PAUSES_S: Final = 0.05


class Slices:
    """The slices of one flush, from its begin. Each is timed."""

    def __init__(self) -> None:
        began_s = time.monotonic()
        self._began_s = began_s
        self._pauses_end_s = began_s + PAUSES_S

    async def turn(self) -> None:
        """Let others run if the slice is over."""
        await self._turn(0)

    async def pause(self) -> None:
        """Let others run for a while if the slice is over; a long flush has no time for that."""
        await self._turn(PAUSE_S if time.monotonic() < self._pauses_end_s else 0)

    async def _turn(self, pause_s: float) -> None:
        now_s = time.monotonic()
        if now_s - self._began_s >= SLICE_S:
            STREAM_FLUSH_SECONDS.observe(now_s - self._began_s)
            await asyncio.sleep(pause_s)
            self._began_s = time.monotonic()

    def end(self) -> None:
        """Time the last slice."""
        STREAM_FLUSH_SECONDS.observe(time.monotonic() - self._began_s)
