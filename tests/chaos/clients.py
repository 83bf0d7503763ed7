"""Load generator: brokers that keep sending HTTP requests through all faults, and retry them.

A retry has the same client order id. One client per broker with separate connections, all on one
event loop in a thread. Every attempt is recorded with its answer.
"""

import asyncio
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal, get_args
from urllib.parse import urlencode

import aiohttp
import msgspec
from msgspec import Struct, structs

from loadgen.client.http_requests import order_body
from loadgen.client.record import (
    NO_ANSWER,
    TIMED_OUT,
    Records,
    RequestRecord,
    RequestResult,
)
from loadgen.workload.orderflow import LOT_SHARES, Plan, PlannedCancel, PlannedOrder
from loadgen.workload.profiles import needs_instruments
from schemas.rest import Registration
from schemas.units import SelfTradePrevention
from tests.chaos.controls import MassCancel

ATTEMPTS_MAX: Final = 6
ANSWER_TIMEOUT_S: Final = 6.0
BACKOFF_S: Final = 0.25
BACKOFF_S_MAX: Final = 3.0
# Bound per broker, so that a frozen exchange does not collect requests without end.
IN_FLIGHT_MAX: Final = 60
# One accepted order in so many is sent again, to check that its answer is repeated.
RESENT_ONE_IN: Final = 10
# Accepted orders of so short a validity are all sent again, after its end: a late retry.
LATE_RETRY_VALID_MS_MAX: Final = 1_000
# From `valid_until` to the late retry.
_LATE_S = 0.1
# One planned cancel in so many replaces quantity and price of its order instead.
REPLACED_ONE_IN: Final = 3
# Another planned cancel in so many cancels all of its broker's orders that one of _FILTERS selects.
MASS_CANCELLED_ONE_IN: Final = 8 * REPLACED_ONE_IN
# As names of query parameters.
_FILTERS: Final[tuple[tuple[str, ...], ...]] = (("symbol", "side"), ("symbol",), ("side",), ())
# One order in so many has a self-trade prevention.
PREVENTED_ONE_IN: Final = 3
_PREVENTIONS: Final[tuple[SelfTradePrevention, ...]] = get_args(SelfTradePrevention)
# What a replacement adds to the price, towards the market: it keeps its place, rests or trades.
_STEPS_CENTS: Final = (0, 1, 6)
_STOP_POLL_S = 0.2
_END_S = ATTEMPTS_MAX * (ANSWER_TIMEOUT_S + BACKOFF_S_MAX) + 10.0
RETRIED = frozenset({NO_ANSWER, TIMED_OUT, 429, 500, 502, 503, 504})


class _AnswerBody(Struct, frozen=True):
    """The fields that are read from a body: an order, a problem, or a cancel of all orders."""

    order_id: str = ""
    code: str = ""
    cancelled: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(_AnswerBody).decode
# Records an attempt: when it was sent, and its answer.
_Add = Callable[[int, RequestResult, _AnswerBody], None]


class Clients:
    """All brokers' clients. `records` of orders and cancels grow during `trading()`.

    `replacements`: answers to these, with the id of the order that was asked for. `mass_cancels`:
    attempts to cancel all orders of a broker, with their answers. `answered`:
    number of answers that are not retried, by operation. `cancelled`: ids of the orders whose
    cancel was answered 204. `with_validity`: orders with a `valid_until`, by broker number and
    client order id.
    """

    def __init__(self, url: str, brokers: Sequence[Registration], flow: Plan) -> None:
        self.records = Records()
        self.replacements: list[RequestResult] = []
        self.mass_cancels: list[MassCancel] = []
        self.answered: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.with_validity = frozenset(
            (action.broker, action.client_order_id)
            for action in flow.actions
            if isinstance(action, PlannedOrder) and action.valid_ms is not None
        )
        self._created_us: list[int] = []
        self.stopping = threading.Event()
        self._brokers = [
            _BrokerClient(self, url, flow, number, b) for number, b in enumerate(brokers)
        ]
        self._started = time.perf_counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._trade()), name="clients")
        self._failures: list[BaseException] = []

    @contextmanager
    def trading(self) -> Iterator[None]:
        """A context in which orders are sent; its end waits for the retries of all of them."""
        self._thread.start()
        try:
            yield
        except BaseException:
            for client in self._brokers:
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
        """The time of the first 201 after `moment_us`; None if there is none yet."""
        next_ = bisect_right(self._created_us, moment_us)
        return self._created_us[next_] if next_ < len(self._created_us) else None

    def add(self, line: RequestRecord) -> None:
        """Record an attempt with its answer."""
        self.records.add(line)
        if line.answer.status not in RETRIED:
            self.answered[line.operation] += 1
        if line.answer.status == 201:
            self._created_us.append(line.done_us)

    def add_replacement(self, answer: RequestResult) -> None:
        """Record an attempt to replace an order."""
        self.replacements.append(answer)
        if answer.status not in RETRIED:
            self.answered["replace"] += 1

    def fail(self, error: BaseException) -> None:
        """Keep an unexpected error of a client; `trading()` raises it at its end."""
        self._failures.append(error)

    async def _trade(self) -> None:
        self._loop = asyncio.get_running_loop()
        clients = (client.run() for client in self._brokers)
        for ended in await asyncio.gather(*clients, return_exceptions=True):
            if ended is not None:
                self.fail(ended)


class _BrokerClient:
    """The requests of one broker."""

    def __init__(
        self, clients: Clients, url: str, flow: Plan, number: int, broker: Registration
    ) -> None:
        self._clients = clients
        self._url = url
        self._flow = flow
        self._number = number
        self._broker_id = broker.broker_id
        # Self-trade prevention needs an instrument.
        self._has_instruments = needs_instruments(flow.profile)
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
                if self._clients.stopping.is_set():
                    break
                if isinstance(action, PlannedOrder):
                    self._launch(self._place(session, index, action))
                elif isinstance(action, PlannedCancel) and action.order in self._order_ids:
                    self._launch(self._change_of(action)(session, action))
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _change_of(
        self, cancel: PlannedCancel
    ) -> Callable[[aiohttp.ClientSession, PlannedCancel], Coroutine[object, object, None]]:
        if cancel.order % REPLACED_ONE_IN == 0:
            return self._replace
        return self._cancel_all if cancel.order % MASS_CANCELLED_ONE_IN == 1 else self._cancel

    def abandon(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Cancel all requests in flight. May be called from another thread."""
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    async def _wait_until(self, at_us: int) -> None:
        while not self._clients.stopping.is_set():
            ahead_s = (at_us - self._clients.now_us()) / 1_000_000
            if ahead_s <= 0 and len(self._tasks) < IN_FLIGHT_MAX:
                return
            await asyncio.sleep(min(_STOP_POLL_S, max(0.01, ahead_s)))

    def _launch(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def _place(self, session: aiohttp.ClientSession, index: int, order: PlannedOrder) -> None:
        # One body for all attempts: with another valid_until it would be another order.
        sent_s = time.time()
        if self._has_instruments and index % PREVENTED_ONE_IN == 0:
            mode = _PREVENTIONS[index // PREVENTED_ONE_IN % len(_PREVENTIONS)]
            order = structs.replace(order, self_trade_prevention=mode)
        body = order_body(self._flow, order, "", int(sent_s * 1_000))
        add = self._recorder("order", order.client_order_id)
        answer = await self._send(session, "/orders", body, add)
        if answer.order_id:
            self._order_ids[index] = answer.order_id
        is_short = order.valid_ms is not None and order.valid_ms <= LATE_RETRY_VALID_MS_MAX
        if answer.status in (201, 202) and (is_short or index % RESENT_ONE_IN == 0):
            if order.valid_ms is not None and is_short:
                await asyncio.sleep(sent_s + order.valid_ms / 1_000 + _LATE_S - time.time())
            # As a client does that has lost the answer; it must receive the same one.
            await self._send(session, "/orders", body, add)

    async def _cancel(self, session: aiohttp.ClientSession, cancel: PlannedCancel) -> None:
        order_id = self._order_ids[cancel.order]
        add = self._recorder("cancel", order_id)
        answer = await self._send(session, f"/orders/{order_id}/cancel", b"", add)
        if answer.status == 204:
            self._clients.cancelled.add(order_id)

    async def _cancel_all(self, session: aiohttp.ClientSession, cancel: PlannedCancel) -> None:
        planned = self._planned(cancel.order)
        values = {"symbol": self._flow.symbols[planned.symbol], "side": planned.side}
        names = _FILTERS[cancel.order // MASS_CANCELLED_ONE_IN % len(_FILTERS)]
        which = {name: values[name] for name in names}
        covered = [i for n, i in self._order_ids.items() if self._is_covered(n, which)]
        path = f"/orders/cancel-all?{urlencode(which)}"

        def add(_: int, answer: RequestResult, body: _AnswerBody) -> None:
            self._clients.mass_cancels.append(
                MassCancel(self._broker_id, tuple(covered), answer, body.cancelled)
            )

        await self._send(session, path, b"", add)

    def _is_covered(self, index: int, which: Mapping[str, str]) -> bool:
        order = self._planned(index)
        symbol = self._flow.symbols[order.symbol]
        return which.items() <= {"symbol": symbol, "side": order.side}.items()

    def _planned(self, index: int) -> PlannedOrder:
        order = self._flow.actions[index]
        assert isinstance(order, PlannedOrder)
        return order

    async def _replace(self, session: aiohttp.ClientSession, cancel: PlannedCancel) -> None:
        order = self._planned(cancel.order)
        if order.price is None:
            return
        draw = cancel.order // REPLACED_ONE_IN
        step = _STEPS_CENTS[draw % len(_STEPS_CENTS)]
        lots = order.quantity // LOT_SHARES
        values = {
            "price": order.price + (step if order.side == "bid" else -step),
            "quantity": max(1, lots + draw % 2 * 2 - 1) * LOT_SHARES,
        }
        order_id = self._order_ids[cancel.order]
        body = msgspec.json.encode(values)

        def add(_: int, answer: RequestResult, __: _AnswerBody) -> None:
            answer = RequestResult(answer.status, answer.code, order_id)
            self._clients.add_replacement(answer)

        await self._send(session, f"/orders/{order_id}/replace", body, add)

    def _recorder(self, operation: Literal["order", "cancel"], name: str) -> _Add:
        """Records an attempt. `name`: client order id, or the id of the order to cancel."""

        def add(sent_us: int, answer: RequestResult, _: _AnswerBody) -> None:
            if operation == "cancel":
                answer = RequestResult(answer.status, answer.code, name)
            times = (sent_us, sent_us, self._clients.now_us())
            client_order_id = name if operation == "order" else ""
            self._clients.add(
                RequestRecord(operation, *times, answer, self._number, client_order_id)
            )

        return add

    async def _send(
        self, session: aiohttp.ClientSession, path: str, body: bytes, add: _Add
    ) -> RequestResult:
        """Send with retries; the last answer. `add` is called with each attempt."""
        answer = RequestResult(NO_ANSWER)
        for attempt in range(ATTEMPTS_MAX):
            sent_us = self._clients.now_us()
            answer, received = await self._post(session, path, body)
            add(sent_us, answer, received)
            if answer.status not in RETRIED:
                break
            await asyncio.sleep(min(BACKOFF_S_MAX, BACKOFF_S * 2**attempt))
        return answer

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: bytes
    ) -> tuple[RequestResult, _AnswerBody]:
        nothing = _AnswerBody()
        try:
            async with session.post(self._url + path, data=body) as response:
                raw = await response.read()
                received = _decode(raw) if raw else nothing
                answer = RequestResult(response.status, received.code, received.order_id)
                return answer, received
        except TimeoutError:
            return RequestResult(TIMED_OUT), nothing
        except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
            return RequestResult(NO_ANSWER, type(error).__name__), nothing

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._clients.fail(error)
