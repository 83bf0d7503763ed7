"""An order session: orders over one WebSocket, written to the command log in the order sent."""

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import ClientSession

from exchange_client.attempts import Attempts
from exchange_client.calls import Call, OrderMethods
from exchange_client.connection import FeedLink
from exchange_client.errors import ClientError
from exchange_client.session_state import SessionResponse, SessionState, Ticket

# The exchange refuses more.
IN_FLIGHT_MAX: Final = 100


class AsyncOrderSession(OrderMethods[Awaitable[Any]]):
    """Orders and cancels of one connection, repeated with the same ids after a loss of it.

    Requests are sent in the order in which `place` and `cancel` begin to run. One that the exchange
    cannot take at the moment (429, 503) is sent again later, and so behind those after it.
    """

    def __init__(
        self,
        url: str,
        key: str,
        http: ClientSession,
        deadline_s: float,
        *,
        cancel_on_disconnect: bool,
    ) -> None:
        self._state = SessionState(key, cancel_on_disconnect=cancel_on_disconnect)
        self._link = FeedLink(url, http, self._state)
        self._deadline_s = deadline_s
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._answers: dict[int, asyncio.Future[SessionResponse]] = {}
        self._passing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._link.start()
        self._passing = asyncio.create_task(self._pass_responses())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, *, keep_orders: bool = False) -> None:
        """End the session. `keep_orders`: no cancel on disconnect."""
        if keep_orders:
            self._state.log_out()
        await self._link.close()
        if self._passing is not None:
            self._passing.cancel()
            await asyncio.gather(self._passing, return_exceptions=True)

    def cancel_named(self, symbol: str, client_order_id: str) -> Awaitable[Any]:
        """Cancel an order of the broker by its client order id, also before its answer."""
        fields = {"symbol": symbol, "client_order_id": client_order_id}
        return self.run(Call("POST", "", operation="cancel", fields=fields))

    async def run(self, call: Call) -> Any:
        """Carry out an order or a cancel. Raises ClientError."""
        return (await self.ask(call)).body

    async def ask(self, call: Call) -> SessionResponse:
        """The response to an order or a cancel, with its status. Raises ClientError."""
        now = asyncio.get_running_loop().time
        attempts = Attempts(call, now() + self._deadline_s)
        async with self._room:
            while True:
                response = await self._attempt(call, attempts)
                message = response.message
                again_s = attempts.answered(response.status, message.get("problem", {}), now())
                if again_s is None:
                    return response
                await asyncio.sleep(again_s)

    async def _attempt(self, call: Call, attempts: Attempts) -> SessionResponse:
        """The response to a call, over as many connections as needed until the deadline."""
        loop = asyncio.get_running_loop()
        ticket = self._state.request(call)
        answer: asyncio.Future[SessionResponse] = loop.create_future()
        self._answers[ticket.number] = answer
        try:
            await self._link.flush()
            if self._state.error is not None:
                raise self._state.error
            async with asyncio.timeout(attempts.left_s(loop.time())):
                response = await answer
        except TimeoutError as error:
            self._doubt(ticket, attempts, 0)
            raise attempts.expired("no response in time") from error
        finally:
            self._state.forget(ticket)
            del self._answers[ticket.number]
        # An earlier connection may have carried it too.
        self._doubt(ticket, attempts, 1)
        return response

    @staticmethod
    def _doubt(ticket: Ticket, attempts: Attempts, answered: int) -> None:
        if ticket.times_sent > answered:
            attempts.doubt()

    async def _pass_responses(self) -> None:
        while True:
            await self._link.changed.wait()
            self._link.changed.clear()
            while self._state.responses:
                response = self._state.responses.popleft()
                answer = self._answers.get(response.ticket.number)
                if answer is not None and not answer.done():
                    answer.set_result(response)
            if self._state.error is not None:
                self._fail_all(self._state.error)

    def _fail_all(self, error: ClientError) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
