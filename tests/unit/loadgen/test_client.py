"""The client against a small server of our own: open loop, answers resolved, faults told apart."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from loadgen.client import Job, LoadClient
from loadgen.fleet import State
from loadgen.orderflow import PLAN_VERSION, Action, Plan, PlannedCancel, PlannedOrder, Profile
from loadgen.progress import Window
from loadgen.record import NO_ANSWER, NOT_SENT


def order(at_us: int, number: int) -> PlannedOrder:
    return PlannedOrder(at_us, 0, 0, "bid", "limit", 100, 1_000, None, f"1-{number}")


def plan_of(*actions: Action) -> Plan:
    return Plan(PLAN_VERSION, 1, Profile(), ("PETR4",), (1_000_000,), actions)


class Venue:
    """Answers orders with an id made from the client's, after `delay_s`; remembers everything."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.arrived_s: list[float] = []
        self.bodies: list[dict[str, object]] = []
        self.cancelled: list[str] = []

    async def place(self, request: web.Request) -> web.Response:
        self.arrived_s.append(time.perf_counter())
        body = msgspec.json.decode(await request.read())
        self.bodies.append(body)
        await asyncio.sleep(self.delay_s)
        return web.json_response({"order_id": f"id-{body['client_order_id']}"}, status=201)

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["order"])
        return web.Response(status=204)


@asynccontextmanager
async def serving(venue: Venue) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/orders", venue.place)
    app.router.add_post("/orders/{order}/cancel", venue.cancel)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def run(venue: Venue, plan: Plan) -> LoadClient:
    async def main() -> LoadClient:
        async with serving(venue) as url:
            client = LoadClient(Job(url, ("key",), "t-"), plan)
            await client.run()
            return client

    return asyncio.run(main())


def test_client_sends_the_next_order_while_the_first_is_outstanding() -> None:
    venue = Venue(delay_s=0.3)
    client = run(venue, plan_of(order(0, 0), order(20_000, 1), order(40_000, 2)))
    assert venue.arrived_s[2] - venue.arrived_s[0] < 0.2
    assert [line.kind for line in client.records] == ["ok"] * 3
    assert all(line.latency_us >= 300_000 for line in client.records)


def test_client_cancel_uses_the_id_the_order_was_answered() -> None:
    venue = Venue()
    run(venue, plan_of(order(0, 0), PlannedCancel(200_000, 0, 0)))
    assert venue.cancelled == ["id-t-1-0"]


def test_client_cancel_of_an_unanswered_order_is_not_sent() -> None:
    venue = Venue(delay_s=0.3)
    client = run(venue, plan_of(order(0, 0), PlannedCancel(50_000, 0, 0)))
    assert venue.cancelled == []
    assert sorted(line.answer.status for line in client.records) == [NOT_SENT, 201]


def test_client_body_holds_what_the_plan_says() -> None:
    venue = Venue()
    run(venue, plan_of(order(0, 0)))
    assert venue.bodies == [
        {
            "document_number": "00000000000",
            "side": "bid",
            "symbol": "PETR4",
            "quantity": 100,
            "order_type": "limit",
            "client_order_id": "t-1-0",
            "price": 1_000,
        }
    ]


def test_client_without_a_server_records_transport_errors() -> None:
    async def main() -> LoadClient:
        client = LoadClient(Job("http://127.0.0.1:9", ("key",), "t-"), plan_of(order(0, 0)))
        await client.run()
        return client

    client = asyncio.run(main())
    assert [line.answer.status for line in client.records] == [NO_ANSWER]
    state = State(plan_of(order(0, 0)), client.records, now_us=client.now_us(), sent=client.sent)
    line = Window().line(state)
    assert "planned 1  sent 1  done 1" in line
    assert line.endswith("errors 1")
