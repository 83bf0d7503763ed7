"""The load client against a stub server: open loop, ids from answers, kinds of faults."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from msgspec import structs

from loadgen.client.client import Job, LoadClient
from loadgen.client.record import NO_ANSWER, NOT_SENT
from loadgen.client.workers import RunState
from loadgen.report.progress import PlanProgress
from loadgen.workload.orderflow import (
    PLAN_VERSION,
    Action,
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedRead,
    PlannedReplace,
    Profile,
)
from services.runtime.progress import Progress

# A client that waits for each answer never sends the next order: this ends its test.
TOGETHER_S_MAX = 5.0


def order(at_us: int, number: int) -> PlannedOrder:
    return PlannedOrder(at_us, 0, 0, "bid", "limit", 100, 1_000, None, f"1-{number}")


def plan_of(*actions: Action) -> Plan:
    return Plan(PLAN_VERSION, 1, Profile(), ("PETR4",), (1_000_000,), actions)


class StubExchange:
    """Answers orders with an id made from the client order id, after `delay_s`; keeps requests.

    No order is answered before the first `together` have arrived.
    """

    def __init__(self, delay_s: float = 0.0, refusal: object = None, together: int = 1) -> None:
        self.delay_s = delay_s
        self.together = together
        self.arrived_together = asyncio.Event()
        self.refusal = refusal
        self.at_once = self.at_once_max = 0
        self.read: list[tuple[str, str]] = []
        self.bodies: list[dict[str, object]] = []
        self.cancelled: list[str] = []
        self.replaced: list[tuple[str, dict[str, int]]] = []
        self.batches: list[list[str]] = []

    async def place(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        self.bodies.append(body)
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        if len(self.bodies) >= self.together:
            self.arrived_together.set()
        await asyncio.wait_for(self.arrived_together.wait(), TOGETHER_S_MAX)
        await asyncio.sleep(self.delay_s)
        self.at_once -= 1
        if self.refusal is not None:
            return web.json_response(self.refusal, status=422)
        return web.json_response({"order_id": f"id-{body['client_order_id']}"}, status=201)

    async def place_all(self, request: web.Request) -> web.Response:
        """A problem for the second order of a batch, an order for every other."""
        body = msgspec.json.decode(await request.read())
        self.batches.append([item["place"]["client_order_id"] for item in body["items"]])
        if self.refusal is not None:
            return web.json_response(self.refusal, status=422)
        results: list[object] = [
            {"status": 201, "order": {"order_id": f"id-{name}"}} for name in self.batches[-1]
        ]
        results[1:2] = [{"status": 503, "problem": {"code": "not_accepted"}}] * len(results[1:2])
        return web.json_response({"results": results})

    async def replace(self, request: web.Request) -> web.Response:
        self.replaced.append((request.match_info["order"], await request.json()))
        if len(self.replaced) > 1:
            return web.json_response({"code": "too_late_to_replace"}, status=409)
        return web.json_response({})

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["order"])
        return web.Response(status=204)

    async def look(self, request: web.Request) -> web.Response:
        self.read.append((request.path, request.headers["Authorization"]))
        return web.json_response({})


@asynccontextmanager
async def serving(stub_exchange: StubExchange) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/orders", stub_exchange.place)
    app.router.add_post("/orders/batch", stub_exchange.place_all)
    app.router.add_post("/orders/{order}/cancel", stub_exchange.cancel)
    app.router.add_post("/orders/{order}/replace", stub_exchange.replace)
    app.router.add_get("/{path:.*}", stub_exchange.look)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def run(
    stub_exchange: StubExchange,
    plan: Plan,
    *,
    in_flight_max: int | None = None,
    part: int = 0,
    parts: int = 1,
    batch: int = 1,
) -> LoadClient:
    async def main() -> LoadClient:
        async with serving(stub_exchange) as url:
            keys = ("key", *["other"] * 3)
            job = Job(url, keys, "t-", False, in_flight_max, batch, part, parts)
            client = LoadClient(job, plan)
            await client.run()
            return client

    return asyncio.run(main())


def test_client_sends_the_next_order_while_the_first_is_outstanding() -> None:
    stub_exchange = StubExchange(delay_s=0.05, together=3)
    client = run(stub_exchange, plan_of(order(0, 0), order(20_000, 1), order(40_000, 2)))
    assert stub_exchange.at_once_max == 3
    assert [line.kind for line in client.records] == ["ok"] * 3
    assert all(line.latency_us >= 50_000 for line in client.records)


def test_late_client_counts_the_delay_as_send_lag_and_as_latency() -> None:
    async def main() -> LoadClient:
        async with serving(StubExchange()) as url:
            client = LoadClient(Job(url, ("key",), "t-"), plan_of(order(0, 0)))
            await client.run(start=time.monotonic() - 0.5)
            return client

    (line,) = asyncio.run(main()).records
    assert line.send_lag_us >= 500_000
    assert line.latency_us >= line.send_lag_us


def test_client_cancel_uses_the_id_in_the_answer_to_the_order() -> None:
    stub_exchange = StubExchange()
    run(stub_exchange, plan_of(order(0, 0), PlannedCancel(200_000, 0, 0)))
    assert stub_exchange.cancelled == ["id-t-1-0"]


def test_client_replace_sends_the_new_values_to_the_order() -> None:
    stub_exchange = StubExchange()
    change = PlannedReplace(200_000, 0, 0, price=7), PlannedReplace(210_000, 0, 0, quantity=300)
    client = run(stub_exchange, plan_of(order(0, 0), *change))
    assert stub_exchange.replaced == [("id-t-1-0", {"price": 7}), ("id-t-1-0", {"quantity": 300})]
    kinds = [(line.operation, line.kind) for line in client.records]
    assert kinds == [("order", "ok"), ("replace", "ok"), ("replace", "expected")]


def test_client_sends_the_orders_of_a_broker_in_batches_with_a_record_for_each() -> None:
    stub_exchange = StubExchange()
    other = structs.replace(order(1_500, 9), broker=1)
    actions = [order(number * 1_000, number) for number in range(5)]
    client = run(stub_exchange, plan_of(*actions[:2], other, *actions[2:]), batch=3)
    sent = sorted(stub_exchange.batches)
    assert sent == [["t-1-0", "t-1-1", "t-1-2"], ["t-1-3", "t-1-4"], ["t-1-9"]]
    assert stub_exchange.bodies == []
    lines = {line.client_order_id: line for line in client.records}
    assert len(lines) == client.sent == 6
    statuses = [lines[f"t-1-{number}"].answer.status for number in (0, 1, 2, 3, 4, 9)]
    assert statuses == [201, 503, 201, 201, 503, 201]
    assert lines["t-1-2"].answer.order_id == "id-t-1-2"
    # All are due with the last of their batch.
    assert {lines[f"t-1-{number}"].intended_us for number in range(3)} == {2_000}


def test_client_sends_a_batch_early_whose_order_is_to_be_cancelled() -> None:
    stub_exchange = StubExchange()
    cancels = PlannedCancel(20_000, 0, 0), PlannedCancel(300_000, 0, 0)
    run(stub_exchange, plan_of(order(0, 0), *cancels, order(310_000, 1)), batch=5)
    assert stub_exchange.batches == [["t-1-0"], ["t-1-1"]]
    assert stub_exchange.cancelled == ["id-t-1-0"]


def test_client_records_a_refused_batch_as_the_answer_of_each_order() -> None:
    stub_exchange = StubExchange(refusal={"code": "invalid"})
    client = run(stub_exchange, plan_of(order(0, 0), order(0, 1)), batch=2)
    results = [(line.answer.status, line.answer.code) for line in client.records]
    assert results == [(422, "invalid")] * 2


def test_client_cancel_of_an_unanswered_order_is_not_sent() -> None:
    stub_exchange = StubExchange(delay_s=0.3)
    client = run(stub_exchange, plan_of(order(0, 0), PlannedCancel(50_000, 0, 0)))
    assert stub_exchange.cancelled == []
    assert sorted(line.answer.status for line in client.records) == [NOT_SENT, 201]


def test_client_reads_with_the_brokers_key_and_orders_by_id() -> None:
    stub_exchange = StubExchange()
    reads = [
        PlannedRead(200_000, 0, "read_order", 0),
        PlannedRead(200_001, 1, "read_price", 0),
        PlannedRead(200_002, 0, "read_book", 0),
        PlannedRead(200_003, 1, "read_balance", -1),
    ]
    client = run(stub_exchange, plan_of(order(0, 0), *reads))
    assert sorted(stub_exchange.read) == [
        ("/balance", "Bearer other"),
        ("/orders/id-t-1-0", "Bearer key"),
        ("/stocks/PETR4/book", "Bearer key"),
        ("/stocks/PETR4/price", "Bearer other"),
    ]
    assert [line.kind for line in client.records] == ["ok"] * 5
    assert {line.operation for line in client.records} == {"order", *(r.read for r in reads)}


def test_client_read_of_an_unanswered_order_is_not_sent() -> None:
    stub_exchange = StubExchange(delay_s=0.3)
    client = run(stub_exchange, plan_of(order(0, 0), PlannedRead(50_000, 0, "read_order", 0)))
    assert stub_exchange.read == []
    assert client.sent == 1


def test_client_part_sends_only_the_actions_of_its_brokers() -> None:
    actions = [structs.replace(order(0, number), broker=number % 4) for number in range(8)]
    sent: list[int] = []
    for part in range(3):
        client = run(StubExchange(), plan_of(*actions), part=part, parts=3)
        sent += [line.broker for line in client.records]
        assert {line.broker % 3 for line in client.records} == {part}
    assert sorted(sent) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_client_with_a_limit_has_no_more_in_flight_and_is_never_late() -> None:
    stub_exchange = StubExchange(delay_s=0.02)
    client = run(
        stub_exchange, plan_of(*(order(0, number) for number in range(12))), in_flight_max=3
    )
    assert stub_exchange.at_once_max == 3
    assert all(line.send_lag_us == 0 for line in client.records)


def test_client_order_refused_for_its_validity_is_expected() -> None:
    fault = {"code": "invalid", "errors": [{"pointer": "/valid_until", "detail": "over"}]}
    client = run(StubExchange(refusal=fault), plan_of(order(0, 0)))
    assert [line.kind for line in client.records] == ["expected"]
    fault = {"code": "invalid", "errors": [{"pointer": "/price", "detail": "over"}]}
    client = run(StubExchange(refusal=fault), plan_of(order(0, 0)))
    assert [line.kind for line in client.records] == ["unexpected"]


def test_stopped_client_sends_no_more_and_abandons_requests_in_flight() -> None:
    async def main() -> LoadClient:
        stub_exchange = StubExchange(delay_s=30)
        async with serving(stub_exchange) as url:
            client = LoadClient(
                Job(url, ("key",), "t-"), plan_of(order(0, 0), order(60_000_000, 1))
            )
            running = asyncio.create_task(client.run())
            async with asyncio.timeout(30):
                while not stub_exchange.at_once:  # noqa: ASYNC110 - until the first is in flight
                    await asyncio.sleep(0.01)
            client.stop()
            await asyncio.wait_for(running, 5)
            return client

    client = asyncio.run(main())
    assert [line.kind for line in client.records] == ["abandoned"]


def test_client_body_contains_the_fields_of_the_plan() -> None:
    stub_exchange = StubExchange()
    run(stub_exchange, plan_of(order(0, 0)))
    assert stub_exchange.bodies == [
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
    state = RunState(plan_of(order(0, 0)), client.records, now_us=client.now_us(), sent=client.sent)
    lines: list[str] = []
    clock = [0.0]
    shown = PlanProgress(Progress(lines.append, now=lambda: clock[0]), "run", state.plan)
    for clock[0] in (1.0, 60.0):
        shown.update(state)
    (line,) = lines
    assert line.startswith("run  100 %  1 of 1 requests  ")
    assert "due 1  sent 1" in line
    assert line.endswith("errors 1")
