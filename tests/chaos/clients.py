"""Brokers that trade on whatever happens: real HTTP, and the same client order id on every retry.

One client per broker with connections of its own, all on one event loop in a thread. What each
request was answered goes into the records, one line per attempt.
"""

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from loadgen.client.http_requests import order_body
from loadgen.client.record import NO_ANSWER, TIMED_OUT, Answer, Operation, Records, RequestRecord
from loadgen.workload.orderflow import Plan, PlannedCancel, PlannedOrder
from schemas.rest import Registration

ATTEMPTS_MAX: Final = 6
ANSWER_TIMEOUT_S: Final = 6.0
BACKOFF_S: Final = 0.25
BACKOFF_S_MAX: Final = 3.0
# Requests of one broker under way; with more the broker waits, as a frozen exchange makes it.
UNDER_WAY_MAX: Final = 60
# Orders that are sent once more although they were answered.
SENT_TWICE_ONE_IN: Final = 10
_STOP_LOOK_S = 0.2
_END_S = ATTEMPTS_MAX * (ANSWER_TIMEOUT_S + BACKOFF_S_MAX) + 10.0
_RETRIED = frozenset({NO_ANSWER, TIMED_OUT, 429, 500, 502, 503, 504})


class _Answered(Struct, frozen=True):
    """What is read of a body, be it an order or a problem."""

    order_id: str = ""
    code: str = ""


_decode = msgspec.json.Decoder(_Answered).decode


class Clients:
    """`records` grows while it trades; `cancelled` holds the orders whose cancel was granted.

    `refused_wrongly`: the plan's orders are good, so none is refused but for a validity that is
    over, by whatever the exchange's clock says.
    """

    def __init__(self, url: str, brokers: Sequence[Registration], flow: Plan) -> None:
        self.records = Records()
        self.cancelled: set[str] = set()
        self.refused_wrongly: list[str] = []
        self._created_us: list[int] = []
        self.stopping = threading.Event()
        self._clients = [_Client(self, url, flow, number, b) for number, b in enumerate(brokers)]
        self._started = time.perf_counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._trade()), name="crowd")
        self._failures: list[BaseException] = []

    @contextmanager
    def trading(self) -> Iterator[None]:
        """Orders come until the end, and each is asked for until its attempts are used up."""
        self._thread.start()
        try:
            yield
        except BaseException:
            for client in self._clients:
                client.abandon(self._loop)
            raise
        finally:
            self.stopping.set()
            self._thread.join(_END_S)
        assert not self._thread.is_alive(), "a client hangs"
        if self._failures:
            raise self._failures[0]

    def now_us(self) -> int:
        """Time since the start."""
        return int((time.perf_counter() - self._started) * 1_000_000)

    def first_created_after(self, moment_us: int) -> int | None:
        """When the next 201 came; None when none did so far."""
        next_ = bisect_right(self._created_us, moment_us)
        return self._created_us[next_] if next_ < len(self._created_us) else None

    def answered(self, line: RequestRecord) -> None:
        """Another request was."""
        self.records.add(line)
        if line.answer.status == 201:
            self._created_us.append(line.done_us)

    def failed(self, error: BaseException) -> None:
        """A client's own mistake, which ends the run with it."""
        self._failures.append(error)

    async def _trade(self) -> None:
        self._loop = asyncio.get_running_loop()
        clients = (client.run() for client in self._clients)
        for ended in await asyncio.gather(*clients, return_exceptions=True):
            if ended is not None:
                self.failed(ended)


class _Client:
    """One broker."""

    def __init__(
        self, clients: Clients, url: str, flow: Plan, number: int, broker: Registration
    ) -> None:
        self._crowd = clients
        self._url = url
        self._flow = flow
        self._number = number
        self._headers = {
            "Authorization": f"Bearer {broker.api_key}",
            "Content-Type": "application/json",
        }
        self._order_ids: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=self._headers
        ) as session:
            for index, action in enumerate(self._flow.actions):
                if action.broker != self._number:
                    continue
                await self._wait_until(action.at_us)
                if self._crowd.stopping.is_set():
                    break
                if isinstance(action, PlannedOrder):
                    self._launch(self._place(session, index, action))
                elif isinstance(action, PlannedCancel) and action.order in self._order_ids:
                    self._launch(self._cancel(session, action))
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def abandon(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """From another thread: let go of everything under way."""
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    async def _wait_until(self, at_us: int) -> None:
        while not self._crowd.stopping.is_set():
            ahead_s = (at_us - self._crowd.now_us()) / 1_000_000
            if ahead_s <= 0 and len(self._tasks) < UNDER_WAY_MAX:
                return
            await asyncio.sleep(min(_STOP_LOOK_S, max(0.01, ahead_s)))

    def _launch(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _place(self, session: aiohttp.ClientSession, index: int, order: PlannedOrder) -> None:
        # One body for all attempts: with another validity it would be another order.
        body = order_body(self._flow, order, "", int(time.time() * 1_000))
        answer = await self._ask(session, "order", "/orders", body, order.client_order_id)
        if answer.order_id:
            self._order_ids[index] = answer.order_id
        if 400 <= answer.status < 500 and answer.status != 429 and order.valid_ms is None:
            self._crowd.refused_wrongly.append(f"{order.client_order_id} was refused: {answer}")
        if index % SENT_TWICE_ONE_IN == 0 and answer.status in (201, 202):
            # A client that did not hear the answer; it must hear the same one again.
            await self._ask(session, "order", "/orders", body, order.client_order_id)

    async def _cancel(self, session: aiohttp.ClientSession, cancel: PlannedCancel) -> None:
        order_id = self._order_ids[cancel.order]
        answer = await self._ask(session, "cancel", f"/orders/{order_id}/cancel", b"", order_id)
        if answer.status == 204:
            self._crowd.cancelled.add(order_id)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        operation: Operation,
        path: str,
        body: bytes,
        name: str,
    ) -> Answer:
        """`name`: an order's client order id, a cancel's order id."""
        answer = Answer(NO_ANSWER)
        for attempt in range(ATTEMPTS_MAX):
            sent_us = self._crowd.now_us()
            answer = await self._post(session, path, body)
            now_us = self._crowd.now_us()
            if operation == "cancel":
                answer = Answer(answer.status, answer.code, name)
            client_order_id = name if operation == "order" else ""
            self._crowd.answered(
                RequestRecord(
                    operation, sent_us, sent_us, now_us, answer, self._number, client_order_id
                )
            )
            if answer.status not in _RETRIED:
                break
            await asyncio.sleep(min(BACKOFF_S_MAX, BACKOFF_S * 2**attempt))
        return answer

    async def _post(self, session: aiohttp.ClientSession, path: str, body: bytes) -> Answer:
        try:
            async with session.post(self._url + path, data=body) as response:
                raw = await response.read()
                told = _decode(raw) if raw else _Answered()
                return Answer(response.status, told.code, told.order_id)
        except TimeoutError:
            return Answer(TIMED_OUT)
        except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
            return Answer(NO_ANSWER, type(error).__name__)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crowd.failed(error)
