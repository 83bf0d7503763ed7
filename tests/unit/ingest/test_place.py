"""`POST /orders` and `POST /register`: the response for each result of the command."""

import asyncio

import pytest

from schemas import ids
from schemas.codec import decode_broker
from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import (
    CHANGES_LEVEL,
    CONDITIONS_LEVEL,
    CONTROLS_LEVEL,
    CommandRefused,
    OrderRepeated,
    RefusalCode,
)
from services.runtime.kafka.producer import DeliveryResult, NotQueuedError
from tests.support.ingest_context import (
    ADMIN_KEY,
    BROKER,
    NOW_MS,
    ORDER,
    FakeSender,
    IngestHarness,
    accepted,
    resource,
    run_scenario,
)

REPEATED = "01a20a15-1e95-7000-8ce8-a7ea3106b0c2"


def test_order_is_written_once_and_answered_with_its_outcome() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        assert isinstance(command, PlaceOrder)
        ((topic, partition, key, _),) = harness.sender.sent
        assert (topic, key) == ("t-exchange.commands.v1", b"A")
        assert ids.partition_of(command.order_id) == partition
        assert ids.created_ms(command.order_id) == NOW_MS
        assert command.broker_id == BROKER.broker_id
        harness.publish(accepted("01a20a15-0000-7000-8ce8-a7ea3106b0c2"))
        assert not pending.done()
        harness.publish(accepted(command.order_id))
        response = await pending
        assert response.status == 201
        assert response.headers["location"] == f"/orders/{command.order_id}"
        assert response.body["order_id"] == response.body["id"] == command.order_id
        assert response.body["created_at"] == "2027-01-15T08:00:00.001Z"
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_repeated_client_order_id_returns_the_original() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.orders[REPEATED] = resource(REPEATED)
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(OrderRepeated(command.order_id, BROKER.broker_id, REPEATED))
        response = await pending
        assert (response.status, response.body["order_id"]) == (200, REPEATED)
        assert response.headers["location"] == f"/orders/{REPEATED}"

    run_scenario(scenario)


def test_repeated_order_that_cannot_be_read_is_503() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.reader_unavailable = True
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(OrderRepeated(command.order_id, BROKER.broker_id, REPEATED))
        response = await pending
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert REPEATED in response.body["detail"]

    run_scenario(scenario)


@pytest.mark.parametrize("away", [False, True])
def test_reused_client_order_id_is_409_with_the_original_if_it_is_found(away: bool) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.reader_unavailable = away
        harness.orders[REPEATED] = resource(REPEATED)
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        refusal = CommandRefused(
            "client_order_id_reused", command.order_id, BROKER.broker_id, REPEATED
        )
        harness.publish(refusal)
        response = await pending
        assert (response.status, response.body["code"]) == (409, "client_order_id_reused")
        assert response.body.get("order", {}).get("order_id") == (None if away else REPEATED)

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        ("too_many_open_orders", 409, "too_many_open_orders"),
        ("too_many_symbols", 409, "too_many_symbols"),
        ("too_many_client_order_ids", 409, "too_many_client_order_ids"),
        ("stale_order_id", 503, "not_accepted"),
    ],
)
def test_refusal_by_the_matcher_is_answered_with_its_code(
    refusal: RefusalCode, status: int, code: str
) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(CommandRefused(refusal, command.order_id, BROKER.broker_id))
        response = await pending
        assert (response.status, response.body["code"]) == (status, code)

    run_scenario(scenario)


def test_impossible_outcome_is_500() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(CommandRefused("duplicate_order_id", command.order_id, BROKER.broker_id))
        assert (await pending).body["code"] == "internal_error"

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("result", "status", "code"),
    [
        ("stored", 202, None),
        ("not_stored", 503, "not_accepted"),
        ("unknown", 504, "outcome_unknown"),
        (None, 504, "outcome_unknown"),
    ],
)
def test_missing_outcome_is_answered_by_the_delivery_result(
    result: DeliveryResult | None, status: int, code: str | None
) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(result), wait_ms=10)
        response = await harness.post("/orders", ORDER)
        command = await harness.command()
        assert isinstance(command, PlaceOrder)
        assert (response.status, response.body.get("code")) == (status, code)
        if status == 202:
            assert response.headers["location"] == f"/orders/{command.order_id}"
            assert response.body["status"] == "pending"
        if status == 503:
            assert response.headers["retry-after"] == "1"
        if status == 504:
            assert command.order_id in response.body["detail"]
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_late_delivery_result_from_another_thread_is_awaited() -> None:
    async def scenario() -> None:
        # Longer than the scenario may take: only the delivery result can end the wait.
        harness = IngestHarness(FakeSender(None), wait_ms=5, delivery_ms=60_000)
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        await harness.command()
        await asyncio.sleep(0.03)
        assert not pending.done()
        assert harness.publisher.in_flight == 1
        await asyncio.to_thread(harness.sender.pending[0], "stored")
        assert (await pending).status == 202
        assert harness.publisher.in_flight == 0

    run_scenario(scenario)


def test_respond_async_is_answered_after_the_command_is_stored() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        response = await harness.post("/orders", ORDER, prefer="respond-async")
        assert response.status == 202
        assert response.headers["preference-applied"] == "respond-async"

    run_scenario(scenario)


def test_preferred_wait_replaces_the_default() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), wait_ms=0)
        pending = asyncio.create_task(harness.post("/orders", ORDER, prefer="wait=2"))
        command = await harness.command()
        harness.publish(accepted(command.order_id))
        response = await pending
        assert (response.status, response.headers["preference-applied"]) == (201, "wait=2")

    run_scenario(scenario)


def test_order_is_not_written_when_it_cannot_be_accepted() -> None:
    async def scenario() -> None:
        sender = FakeSender(None)
        harness = IngestHarness(sender, in_flight_max=2, wait_ms=1, delivery_ms=3_000)
        sender.available = False
        away = await harness.post("/orders", ORDER)
        sender.available, sender.refusal = True, BufferError()
        full = await harness.post("/orders", ORDER)
        # Any other error of the client's `produce`, such as a fatal one.
        sender.refusal = NotQueuedError()
        failed = await harness.post("/orders", ORDER)
        sender.refusal = None
        assert sender.sent == []
        held = [asyncio.create_task(harness.post("/orders", ORDER)) for _ in range(2)]
        await harness.command(2)
        over = await harness.post("/orders", ORDER)
        for refused in (away, full, failed, over):
            assert (refused.status, refused.body["code"]) == (503, "not_accepted")
            assert (refused.headers["retry-after"], refused.body["retryable"]) == ("1", True)
        assert len(sender.sent) == 2
        for result in sender.pending:
            result("stored")
        assert [response.status for response in await asyncio.gather(*held)] == [202, 202]
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_refused_order_is_not_written() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        assert (await harness.post("/orders", b"{}")).status == 422
        assert (await harness.post("/orders", b"")).status == 400
        assert (await harness.post("/orders", ORDER, key="nobody")).status == 401
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_registered_broker_may_trade_at_once() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(), wait_ms=1)
        response = await harness.post("/register", b'{"name":"New"}', ADMIN_KEY)
        assert response.status == 201
        assert response.headers["cache-control"] == "no-store"
        ((topic, partition, key, value),) = harness.sender.sent
        broker = decode_broker(value)
        assert (topic, partition) == ("t-exchange.brokers.v1", 0)
        assert (key, broker.name) == (response.body["broker_id"].encode(), "New")
        order = await harness.post("/orders", ORDER, response.body["api_key"])
        assert order.status == 202

    run_scenario(scenario)


@pytest.mark.parametrize(("result", "status"), [("not_stored", 503), ("unknown", 504), (None, 504)])
def test_broker_that_may_not_be_stored_is_not_in_the_directory(
    result: DeliveryResult | None, status: int
) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender(result))
        before = len(harness.directory)
        response = await harness.post("/register", b'{"name":"New"}', ADMIN_KEY)
        assert response.status == status
        assert len(harness.directory) == before

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("fields", "conditions"),
    [
        (b'"time_in_force":"ioc"', ("ioc", False, None)),
        (b'"time_in_force":"fok"', ("fok", False, None)),
        (b'"post_only":true', (None, True, None)),
        (b'"time_in_force":"gtc","minimum_quantity":3', (None, False, 3)),
        (b'"time_in_force":"gtc"', None),
        (b'"time_in_force":null,"post_only":false,"minimum_quantity":null', None),
    ],
)
def test_order_with_conditions_is_another_command_than_one_without(
    fields: bytes, conditions: tuple[object, ...] | None
) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER[:-1] + b"," + fields + b"}"))
        command = await harness.command()
        assert isinstance(command, PlaceOrder)
        assert isinstance(command, EnterOrder) == (conditions is not None)
        if isinstance(command, EnterOrder):
            found = (command.time_in_force, command.post_only, command.minimum_quantity)
            assert found == conditions
        harness.publish(accepted(command.order_id))
        assert (await pending).status == 201

    run_scenario(scenario)


@pytest.mark.parametrize("mode", ["cancel_taker", "cancel_maker", "cancel_both", "none"])
def test_order_with_self_trade_prevention_needs_a_matcher_that_knows_it(mode: str) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        body = ORDER[:-1] + f',"self_trade_prevention":"{mode}"}}'.encode()
        if mode != "none":
            harness.rules_level = CHANGES_LEVEL
            assert (await harness.post("/orders", body)).status == 503
            harness.rules_level = CONTROLS_LEVEL
        pending = asyncio.create_task(harness.post("/orders", body))
        command = await harness.command()
        assert isinstance(command, PlaceOrder)
        if mode == "none":
            assert type(command) is PlaceOrder
        else:
            assert isinstance(command, EnterOrder)
            assert command.self_trade_prevention == mode
        harness.publish(accepted(command.order_id))
        assert (await pending).status == 201

    run_scenario(scenario)


def test_market_order_says_ioc_or_nothing_in_the_same_command() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        market = ORDER.replace(b'"price":5', b'"order_type":"market","time_in_force":"ioc"')
        pending = asyncio.create_task(harness.post("/orders", market))
        command = await harness.command()
        assert type(command) is PlaceOrder
        harness.publish(accepted(command.order_id, closed_reason="no_liquidity"))
        assert (await pending).status == 201

    run_scenario(scenario)


@pytest.mark.parametrize("level", [0, CONDITIONS_LEVEL - 1])
def test_order_with_conditions_for_an_older_matcher_is_503_and_not_written(level: int) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.rules_level = level
        response = await harness.post("/orders", ORDER[:-1] + b',"post_only":true}')
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert harness.sender.sent == []
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        assert isinstance(command, PlaceOrder)
        harness.publish(accepted(command.order_id))
        assert (await pending).status == 201

    run_scenario(scenario)


def test_refused_post_only_order_is_409() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER[:-1] + b',"post_only":true}'))
        command = await harness.command()
        assert isinstance(command, EnterOrder)
        refused = CommandRefused("post_only_would_trade", command.order_id, command.broker_id)
        harness.publish(refused)
        response = await pending
        assert (response.status, response.body["code"]) == (409, "post_only_would_trade")
        assert response.body["retryable"] is False

    run_scenario(scenario)
