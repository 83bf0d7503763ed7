"""Sends a plan to an exchange as an open loop: each request at its time, without waiting for
answers.

Latency counts from the intended time, so a slow server does not slow down the schedule.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import msgspec
from msgspec import Struct, structs

from loadgen.client.batches import Batches, batch_body, results_of
from loadgen.client.http_requests import RequestEncoder, order_body, replace_body
from loadgen.client.pool import Done, Pool
from loadgen.client.record import (
    EXPIRED,
    NO_ANSWER,
    NOT_SENT,
    Operation,
    Records,
    RequestRecord,
    RequestResult,
)
from loadgen.client.sessions import Sessions
from loadgen.workload.orderflow import (
    Action,
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedRead,
    PlannedReplace,
)

# Timers of a loop have millisecond resolution; shorter waits would spin and use the CPU.
TICK_S: Final = 0.001
# Longest sleep while nothing is due, so that a stop is noticed.
POLL_S: Final = 0.1
# Requests that are sent in a row when behind schedule, before answers are read again.
SENT_AT_ONCE_MAX: Final = 32
_UNPROCESSABLE: Final = 422
_OK_STATUS: Final = 200


Transport = Literal["http", "session"]
# Sends a request whose result is passed on later, once.
Send = Callable[[Done], None]


class Job(Struct, frozen=True):
    """Options for sending a plan. `tag` distinguishes its client order ids from other runs'.

    `respond_async`: answers confirm that the command is written, without its outcome.
    `in_flight_max`: at most so many requests at once and no schedule, to fill books before
    measuring.
    `batch`: each broker's orders are sent in batches of so many; 1: one request each.
    `part` of `parts`: the actions of every `parts`th broker, so that processes share a plan.
    `transport`: the way of orders and cancels; "session": by WebSocket.
    """

    url: str
    api_keys: tuple[str, ...]
    tag: str
    respond_async: bool = False
    in_flight_max: int | None = None
    batch: int = 1
    part: int = 0
    parts: int = 1
    transport: Transport = "http"


class _Fault(Struct, frozen=True):
    pointer: str = ""


class _Answered(Struct, frozen=True):
    """Fields that are read of a body, which is an order or a problem."""

    order_id: str = ""
    code: str = ""
    errors: list[_Fault] = []


_decode = msgspec.json.Decoder(_Answered).decode


class LoadClient:
    """One run of one plan. `records` grows during the run; `sent` counts requests sent."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job = job
        self._plan = plan
        self._wire = RequestEncoder(job.url, job.api_keys, respond_async=job.respond_async)
        self._batches = Batches(job.batch)
        self._order_ids: dict[int, str] = {}
        self._started = 0.0
        self._stopping = False
        self._pool: Pool | None = None
        self._sessions: Sessions | None = None
        self._ended = asyncio.Event()
        self.records = Records()
        self.sent = 0
        self.done = 0
        self.cpu_s = 0.0

    async def open(self) -> None:
        """Open what must be there before the first request. Raises ClientError, TimeoutError."""
        self._pool = Pool(self._job.url)
        if self._job.transport == "session":
            self._sessions = Sessions(self._job.url, self._job.api_keys)
            await self._sessions.open(
                range(self._job.part, len(self._job.api_keys), self._job.parts)
            )

    async def run(self, start: float | None = None) -> None:
        """Send everything, then wait for the outstanding answers.

        `start`: the plan's zero on the monotonic clock; now if not given.
        """
        cpu_before = time.process_time()
        if self._pool is None:
            await self.open()
        self._started = time.monotonic() if start is None else start
        try:
            await self._send_all()
            await self._answers()
        finally:
            await self._close()
            self.cpu_s = time.process_time() - cpu_before

    async def _close(self) -> None:
        if self._sessions is not None:
            await self._sessions.close()
        if self._pool is not None:
            await self._pool.close()

    def stop(self) -> None:
        """Stop sending and waiting: outstanding requests are recorded as not answered."""
        self._stopping = True
        self._ended.set()

    def now_us(self) -> int:
        """Microseconds since the start of the plan."""
        return int((time.monotonic() - self._started) * 1_000_000)

    async def _send_all(self) -> None:
        at_once = 0
        for index, action in enumerate(self._plan.actions):
            if action.broker % self._job.parts != self._job.part:
                continue
            ahead_s = (action.at_us - self.now_us()) / 1_000_000
            while ahead_s > 0 or self._full():
                if self._stopping:
                    return
                at_once = 0
                await asyncio.sleep(min(POLL_S, max(TICK_S, ahead_s)))
                ahead_s = (action.at_us - self.now_us()) / 1_000_000
            at_once += 1
            if at_once % SENT_AT_ONCE_MAX == 0:
                await asyncio.sleep(0)
                if self._stopping:
                    return
            self._send(index, action)
        for broker in self._batches.brokers():
            self._send_batch(broker, self._batches.take(broker))

    def _full(self) -> bool:
        most = self._job.in_flight_max
        return most is not None and self.sent - self.done >= most

    async def _answers(self) -> None:
        if self.sent > self.done and not self._stopping:
            self._ended.clear()
            await self._ended.wait()

    def _send(self, index: int, action: Action) -> None:
        match action:
            case PlannedOrder() if self._job.batch > 1:
                self._send_batch(action.broker, self._batches.add(index, action))
            case PlannedOrder():
                self._exchange("order", action, self._place(action), index)
            case PlannedCancel(order=order) | PlannedReplace(order=order):
                if self._batches.awaits(action.broker, order):
                    self._send_batch(action.broker, self._batches.take(action.broker))
                self._change(action, self._order_ids.get(order, ""))
            case PlannedRead():
                path = self._path(action)
                request = self._http(self._wire.get(action.broker, path)) if path else None
                self._exchange(action.read, action, request, -1)

    def _place(self, order: PlannedOrder) -> Send:
        body = order_body(self._plan, order, self._job.tag, int(time.time() * 1_000))
        if self._sessions is not None:
            return partial(self._sessions.place, order.broker, body)
        return self._http(self._wire.order(order.broker, body))

    def _change(self, action: PlannedCancel | PlannedReplace, order_id: str) -> None:
        if isinstance(action, PlannedCancel):
            self._exchange("cancel", action, self._cancel(action, order_id), -1, order_id)
        else:
            self._exchange("replace", action, self._replace(action, order_id), -1, order_id)

    def _replace(self, replace: PlannedReplace, order_id: str) -> Send | None:
        if not order_id:
            return None
        body = replace_body(replace)
        if self._sessions is not None:
            return partial(self._sessions.replace, replace.broker, order_id, body)
        return self._http(self._wire.replace(replace.broker, order_id, body))

    def _cancel(self, cancel: PlannedCancel, order_id: str) -> Send | None:
        if not order_id:
            return None
        if self._sessions is not None:
            return partial(self._sessions.cancel, cancel.broker, order_id)
        return self._http(self._wire.cancel(cancel.broker, order_id))

    def _http(self, request: bytes) -> Send:
        assert self._pool is not None  # noqa: S101 - for the type checker
        return partial(self._pool.send, request)

    def _send_batch(self, broker: int, indices: list[int]) -> None:
        """Send these orders in one request; they are due with the last of them."""
        if not indices:
            return
        now_ms = int(time.time() * 1_000)
        orders = [
            order for i in indices if isinstance(order := self._plan.actions[i], PlannedOrder)
        ]
        bodies = [order_body(self._plan, order, self._job.tag, now_ms) for order in orders]
        due_us = orders[-1].at_us
        notes = [
            self._note("order", structs.replace(order, at_us=due_us), index, "")
            for index, order in zip(indices, orders, strict=True)
        ]

        def note(status: int, body: bytes) -> None:
            for each, result in zip(notes, results_of(len(notes), status, body), strict=True):
                each(*result)

        self.sent += len(notes)
        self._http(self._wire.batch(broker, batch_body(bodies)))(note)

    def _path(self, read: PlannedRead) -> str:
        """The order's path; empty while the order has no id yet."""
        match read.read:
            case "read_order":
                order_id = self._order_ids.get(read.subject)
                return f"/orders/{order_id}" if order_id else ""
            case "read_price":
                return f"/stocks/{self._plan.symbols[read.subject]}/price"
            case "read_book":
                return f"/stocks/{self._plan.symbols[read.subject]}/book"
            case "read_balance":
                return "/balance"

    def _exchange(
        self,
        operation: Operation,
        action: Action,
        send: Send | None,
        index: int,
        order_id: str = "",
    ) -> None:
        """Send one request; None: it cannot be sent, and is recorded so."""
        note = self._note(operation, action, index, order_id)
        if send is None:
            note(NOT_SENT, b"")
            return
        self.sent += 1
        send(note)

    def _note(
        self, operation: Operation, action: Action, index: int, order_id: str
    ) -> Callable[[int, bytes], None]:
        sent_us = self.now_us()
        # Without a schedule a request is due when its turn comes.
        due_us = action.at_us if self._job.in_flight_max is None else sent_us
        client_order_id = (
            self._job.tag + action.client_order_id if isinstance(action, PlannedOrder) else ""
        )

        def note(status: int, body: bytes) -> None:
            answer = _answer(operation, status, body)
            if client_order_id and answer.order_id:
                self._order_ids[index] = answer.order_id
            if order_id:
                answer = structs.replace(answer, order_id=order_id)
            self.records.add(
                RequestRecord(
                    operation,
                    due_us,
                    sent_us,
                    self.now_us(),
                    answer,
                    action.broker,
                    client_order_id,
                )
            )
            if status != NOT_SENT:
                self.done += 1
                if self.done == self.sent:
                    self._ended.set()

        return note


def _answer(operation: Operation, status: int, body: bytes) -> RequestResult:
    if status < _OK_STATUS:
        return RequestResult(status, body.decode())
    # Only an order's answer is needed later; of others the status is enough.
    if not body or (operation != "order" and status == _OK_STATUS):
        return RequestResult(status)
    try:
        answer = _decode(body)
    except msgspec.MsgspecError as error:
        return RequestResult(NO_ANSWER, type(error).__name__)
    expired = status == _UNPROCESSABLE and any(f.pointer == "/valid_until" for f in answer.errors)
    return RequestResult(status, EXPIRED if expired else answer.code, answer.order_id)
