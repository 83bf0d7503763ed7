"""Sends a plan to an exchange as an open loop: each request at its time, whatever is outstanding.

Latency counts from the intended time, so a slow server cannot hide behind a waiting client.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from loadgen.orderflow import Action, Plan, PlannedCancel, PlannedOrder
from loadgen.record import NO_ANSWER, NOT_SENT, TIMED_OUT, Answer, Line, Operation, Records
from schemas.units import rfc3339

ANSWER_TIMEOUT_S: Final = 15.0
# Idle connections are kept as long as a run lasts; the server decides when to close them.
KEEP_ALIVE_S: Final = 75.0


class OrderBody(Struct, frozen=True, omit_defaults=True):
    """Body of `POST /orders`."""

    document_number: str
    side: str
    symbol: str
    quantity: int
    order_type: str
    client_order_id: str
    price: int | None = None
    valid_until: str | None = None


class _Answered(Struct, frozen=True):
    """What is read of a body, be it an order or a problem."""

    order_id: str = ""
    code: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Answered).decode


def order_body(plan: Plan, order: PlannedOrder, tag: str, now_ms: int) -> bytes:
    """The request. `tag` sets the client order ids of one run apart from those of another."""
    until = None if order.valid_ms is None else rfc3339(now_ms + order.valid_ms)
    return _encode(
        OrderBody(
            document_number=f"{order.broker:011d}",
            side=order.side,
            symbol=plan.symbols[order.symbol],
            quantity=order.quantity,
            order_type=order.order_type,
            client_order_id=tag + order.client_order_id,
            price=order.price,
            valid_until=until,
        )
    )


class LoadClient:
    """One run of one plan. `records` grows while it goes on; `sent` counts requests on the wire.

    `respond_async`: answers say that the log has the request, and do not wait for the outcome.
    """

    def __init__(
        self,
        url: str,
        api_keys: Sequence[str],
        plan: Plan,
        tag: str,
        *,
        respond_async: bool = False,
    ) -> None:
        self._url = url.rstrip("/")
        common = {"Content-Type": "application/json"}
        if respond_async:
            common["Prefer"] = "respond-async"
        self._headers = [{"Authorization": f"Bearer {key}", **common} for key in api_keys]
        self._plan = plan
        self._tag = tag
        self._order_ids: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = 0.0
        self.records = Records()
        self.sent = 0
        self.cpu_s = 0.0

    async def run(self) -> None:
        """Send everything, then wait for the answers still outstanding."""
        cpu_before = time.process_time()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._started = time.perf_counter()
            try:
                for index, action in enumerate(self._plan.actions):
                    await self._wait_until(action.at_us)
                    self._launch(session, index, action)
                await asyncio.gather(*self._tasks)
            finally:
                await self._abandon()
                self.cpu_s = time.process_time() - cpu_before

    def now_us(self) -> int:
        """Time since the start of the plan."""
        return int((time.perf_counter() - self._started) * 1_000_000)

    async def _wait_until(self, at_us: int) -> None:
        ahead_us = at_us - self.now_us()
        if ahead_us > 0:
            await asyncio.sleep(ahead_us / 1_000_000)
        elif self.sent % 32 == 0:
            # Behind time: let the loop breathe, or answers would never be read.
            await asyncio.sleep(0)

    def _launch(self, session: aiohttp.ClientSession, index: int, action: Action) -> None:
        if isinstance(action, PlannedOrder):
            work = self._place(session, index, action)
        elif action.order in self._order_ids:
            work = self._cancel(session, action, self._order_ids.pop(action.order))
        else:
            self._note("cancel", action, self.now_us(), Answer(NOT_SENT))
            return
        self.sent += 1
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _place(self, session: aiohttp.ClientSession, index: int, order: PlannedOrder) -> None:
        sent_us = self.now_us()
        body = order_body(self._plan, order, self._tag, int(time.time() * 1_000))
        answer = await self._post(session, "/orders", order.broker, body)
        if answer.order_id:
            self._order_ids[index] = answer.order_id
        self._note("order", order, sent_us, answer)

    async def _cancel(
        self, session: aiohttp.ClientSession, cancel: PlannedCancel, order_id: str
    ) -> None:
        sent_us = self.now_us()
        answer = await self._post(session, f"/orders/{order_id}/cancel", cancel.broker, b"")
        told = Answer(answer.status, answer.code, order_id)
        self._note("cancel", cancel, sent_us, told)

    async def _post(
        self, session: aiohttp.ClientSession, path: str, broker: int, body: bytes
    ) -> Answer:
        try:
            async with session.post(
                self._url + path, data=body, headers=self._headers[broker]
            ) as response:
                raw = await response.read()
                told = _decode(raw) if raw else _Answered()
                return Answer(response.status, told.code, told.order_id)
        except TimeoutError:
            return Answer(TIMED_OUT)
        except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
            return Answer(NO_ANSWER, type(error).__name__)

    def _note(self, operation: Operation, action: Action, sent_us: int, answer: Answer) -> None:
        client_order_id = (
            self._tag + action.client_order_id if isinstance(action, PlannedOrder) else ""
        )
        self.records.add(
            Line(
                operation,
                action.at_us,
                sent_us,
                self.now_us(),
                answer,
                action.broker,
                client_order_id,
            )
        )

    async def _abandon(self) -> None:
        """After an interruption: cancel what is outstanding, so that nothing leaks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
