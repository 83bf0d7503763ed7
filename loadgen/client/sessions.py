"""Orders and cancels over the order sessions of the brokers, one WebSocket each.

Every request ends in exactly one call of its `done`, as with the connections for HTTP.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from exchange_client.calls import Call, place_call
from exchange_client.connection import FeedLink
from exchange_client.session_state import SessionResponse, SessionState, Ticket
from loadgen.client.pool import ANSWER_TIMEOUT_S, SWEEP_S, Done
from loadgen.client.record import ABANDONED, TIMED_OUT

# For the logins of all brokers.
LOGIN_S_MAX: Final = 30.0


class _BrokerSession:
    """The session of one broker."""

    def __init__(self, url: str, key: str, http: ClientSession) -> None:
        self._state = SessionState(key, cancel_on_disconnect=False)
        self._link = FeedLink(url, http, self._state)
        self._done: dict[int, Done] = {}
        # In the order of their deadlines.
        self._under_way: deque[tuple[float, Ticket]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._passing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._link.start()
        while not self._state.is_ready:
            await self._link.changed.wait()
            self._link.changed.clear()
            if self._state.error is not None:
                raise self._state.error
        self._passing = asyncio.create_task(self._pass_responses())

    def send(self, call: Call, done: Done, deadline: float) -> None:
        ticket = self._state.request(call)
        self._done[ticket.number] = done
        self._under_way.append((deadline, ticket))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._link.flush())

    def sweep(self, now: float) -> None:
        """End requests over their time limit."""
        waiting = self._under_way
        while waiting and (waiting[0][0] <= now or waiting[0][1].number not in self._done):
            self._end(waiting.popleft()[1], TIMED_OUT)

    async def close(self) -> None:
        for _, ticket in self._under_way:
            self._end(ticket, ABANDONED)
        if self._passing is not None:
            self._passing.cancel()
            await asyncio.gather(self._passing, return_exceptions=True)
        await self._link.close()

    def _end(self, ticket: Ticket, status: int) -> None:
        self._state.forget(ticket)
        if (done := self._done.pop(ticket.number, None)) is not None:
            done(status, b"")

    async def _pass_responses(self) -> None:
        while True:
            await self._link.changed.wait()
            self._link.changed.clear()
            while self._state.responses:
                response = self._state.responses.popleft()
                if (done := self._done.pop(response.ticket.number, None)) is not None:
                    done(response.status, _body(response))


class Sessions:
    """The sessions of all brokers of a run."""

    def __init__(self, url: str, api_keys: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._http = ClientSession(
            connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None), trust_env=False
        )
        self._sessions = [_BrokerSession(url, key, self._http) for key in api_keys]
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self, brokers: Iterable[int]) -> None:
        """Log in as these brokers. Raises ClientError, TimeoutError."""
        async with asyncio.timeout(LOGIN_S_MAX):
            await asyncio.gather(*(self._sessions[broker].open() for broker in brokers))
        self._sweep()

    def place(self, broker: int, body: bytes, done: Done) -> None:
        """Send an order, given as the body of `POST /orders`."""
        self._send(broker, place_call(json.loads(body), None, "outcome"), done)

    def cancel(self, broker: int, order_id: str, done: Done) -> None:
        """Send a cancel."""
        fields: dict[str, Any] = {"order_id": order_id}
        self._send(broker, Call("POST", "", operation="cancel", fields=fields), done)

    def replace(self, broker: int, order_id: str, body: bytes, done: Done) -> None:
        """Send new values of an order, given as the body of `POST /orders/{id}/replace`."""
        fields: dict[str, Any] = {"order_id": order_id, "values": json.loads(body)}
        self._send(broker, Call("POST", "", operation="replace", fields=fields), done)

    async def close(self) -> None:
        """Abandon all requests and end the sessions."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for session in self._sessions:
            await session.close()
        await self._http.close()

    def _send(self, broker: int, call: Call, done: Done) -> None:
        self._sessions[broker].send(call, done, self._loop.time() + ANSWER_TIMEOUT_S)

    def _sweep(self) -> None:
        now = self._loop.time()
        for session in self._sessions:
            session.sweep(now)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def _body(response: SessionResponse) -> bytes:
    return json.dumps(response.body).encode() if response.body else b""
