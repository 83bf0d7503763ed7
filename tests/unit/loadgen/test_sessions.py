"""Order sessions and streams of the load generator."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from loadgen.client import sessions as module
from loadgen.client.record import ABANDONED, TIMED_OUT
from loadgen.client.sessions import Sessions
from loadgen.client.streams import channels_of

ORDER = b'{"symbol":"PETR4","client_order_id":"a-1"}'
Answered = list[tuple[int, bytes]]


async def gateway(request: web.Request) -> web.WebSocketResponse:
    """Answers logins, places and cancels, but no order of the symbol SILENT."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"type": "hello", "log": "L"})
    async for message in socket:
        asked = message.json()
        order = asked.get("order", {})
        if order.get("symbol") != "SILENT":
            status = {"login": 200, "place": 201, "cancel": 204, "replace": 200}[asked["op"]]
            assert asked["op"] != "replace" or asked["values"] == {"price": 9}
            body = {"order": {"order_id": asked["id"]}} if asked["op"] == "place" else {}
            await socket.send_json({"type": "response", "id": asked["id"], "status": status} | body)
    return socket


def run(act: Callable[[Sessions, Answered], Awaitable[None]]) -> Answered:
    answered: Answered = []

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/ws", gateway)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        sessions = Sessions(f"http://127.0.0.1:{runner.addresses[0][1]}", ("key", "other"))
        await sessions.open(range(2))
        try:
            await act(sessions, answered)
        finally:
            await sessions.close()
            await runner.cleanup()

    asyncio.run(main())
    return answered


async def wait_for(answered: Answered, count: int) -> None:
    async with asyncio.timeout(10):
        while len(answered) < count:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)


def test_answers_of_a_session_are_those_of_http() -> None:
    async def act(sessions: Sessions, answered: Answered) -> None:
        sessions.place(0, ORDER, lambda *each: answered.append(each))
        sessions.cancel(1, "7", lambda *each: answered.append(each))
        sessions.replace(1, "7", b'{"price":9}', lambda *each: answered.append(each))
        await wait_for(answered, 3)

    assert sorted(run(act)) == [(200, b""), (201, b'{"order_id": 2}'), (204, b"")]


def test_request_without_an_answer_times_out_or_is_abandoned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = ORDER.replace(b"PETR4", b"SILENT")

    async def act(sessions: Sessions, answered: Answered) -> None:
        monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.1)
        sessions.place(0, silent, lambda *each: answered.append(each))
        await wait_for(answered, 1)
        monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 60.0)
        sessions.place(0, silent, lambda *each: answered.append(each))

    assert run(act) == [(TIMED_OUT, b""), (ABANDONED, b"")]


def test_streams_are_pages_algorithms_and_brokers() -> None:
    symbols = {f"S{number}": 1 for number in range(50)}
    drawn = list(channels_of(200, symbols, seed=1))
    kinds = Counter(
        "broker" if each.own_events else "algorithm" if each.books else "page" for each in drawn
    )
    assert kinds == {"page": 180, "algorithm": 18, "broker": 2}
    assert drawn == list(channels_of(200, symbols, seed=1))
