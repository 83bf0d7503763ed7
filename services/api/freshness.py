"""Refuses calls while this process may not know every revocation of a key.

1. Every `INTERVAL_S` the end of the topic is read from Kafka. Once every record below it has been
   applied, the process is fresh as of the moment of the question.
2. After a pause of `FROZEN_S` (a stopped or swapped-out process) every call is refused until a
   question of after the pause is answered: a key may have been revoked meanwhile.
3. Calls that write are also refused while the last such moment is older than `AGE_S_MAX`: the
   connection to Kafka is cut. Reads continue, because they need no Kafka.
"""

import asyncio
import time
from collections.abc import Callable

from services.runtime.errors import UnavailableError
from services.runtime.questions import answer_of

INTERVAL_S = 0.5
FROZEN_S = 1.0
AGE_S_MAX = 5.0
_BEAT_S = 0.1
_LOOK_S = 0.005


class BrokersFreshness:
    """Lives on the event loop. `end` blocks, on any thread, for the topic's end offset, and raises
    UnavailableError; `applied` is True once every record below an offset was applied."""

    def __init__(
        self,
        end: Callable[[], int],
        applied: Callable[[int], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._end = end
        self._applied = applied
        self._clock = clock
        self._beat_s = clock()
        # A question of this moment or later must have been answered.
        self._required_s = clock()
        self._fresh_s = float("-inf")
        self._ask_soon = True
        # Set once a question was answered, for the start.
        self.answered = asyncio.Event()

    def refusal(self, *, writes: bool) -> str | None:
        """The reason to refuse a call now; None if it may be answered."""
        now_s = self.beat()
        if self._fresh_s < self._required_s:
            return "this process stood still and reads the brokers again; nothing was written"
        if writes and now_s - self._fresh_s > AGE_S_MAX:
            return "this process does not hear the brokers topic; nothing was written"
        return None

    def beat(self) -> float:
        """Note that the loop runs, and return the present time; detects a pause since the last
        call."""
        now_s = self._clock()
        if now_s - self._beat_s > FROZEN_S:
            self._required_s = now_s
            self.ask_now()
        self._beat_s = now_s
        return now_s

    def ask_now(self) -> None:
        """Ask without waiting for the interval to pass."""
        self._ask_soon = True

    async def run(self) -> None:
        """Ask until cancelled."""
        question: asyncio.Task[None] | None = None
        asked_s = float("-inf")
        try:
            while True:
                now_s = self.beat()
                idle = question is None or question.done()
                if idle and (self._ask_soon or now_s - asked_s >= INTERVAL_S):
                    self._ask_soon, asked_s = False, now_s
                    question = asyncio.create_task(self._ask())
                await asyncio.sleep(_BEAT_S)
        finally:
            if question is not None:
                question.cancel()

    async def _ask(self) -> None:
        begun_s = self.beat()
        try:
            end = await answer_of(self._end)
        except UnavailableError:
            # The age grows; `refusal` draws the consequence.
            return
        while not self._applied(end):
            # Bounded, because a topic that was made again may never reach that end.
            if self._clock() - begun_s > AGE_S_MAX:
                return
            await asyncio.sleep(_LOOK_S)
        self._fresh_s = begun_s
        self.answered.set()
