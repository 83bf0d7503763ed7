"""Cancels of orders whose gateway was killed."""

import asyncio
from contextlib import suppress
from itertools import count

import msgspec
import pytest
from msgspec import structs

from schemas import ids
from schemas.codec import decode_command
from schemas.commands import CancelOrder
from schemas.executions import Event, OrderCancelled
from schemas.rest import CancelSessionsResult
from services.api.app import Response
from services.api.messages import ProblemError
from services.feeds import left_orders
from services.feeds.app_sessions import SessionsHandler
from services.feeds.left_orders import GatewayProcess, LeftOrders
from services.reader.views import Views
from services.runtime.kafka.producer import DeliveryResult
from tests.support.ingest_context import FakeSender, IngestHarness, run_scenario
from tests.support.reader_outcomes import ALICE, BOB, T0, batch, fill, limit

NOW = GatewayProcess("desk", "11111111")
BEFORE = GatewayProcess("desk", "22222222")
LONG_BEFORE = GatewayProcess("desk", "33333333")
OTHER = GatewayProcess("other", "44444444")


class Market:
    """Views with orders of several processes, and the cancels that one of them sends."""

    def __init__(self, result: DeliveryResult | None = "stored", in_flight_max: int = 999) -> None:
        self.views = Views()
        self.ready = True
        self.sender = FakeSender(result)
        ingest = IngestHarness(self.sender, in_flight_max=in_flight_max).ingest
        self.left = LeftOrders(lambda: self.views, lambda: self.ready, ingest.cancelling, NOW)
        self._numbers = count(1)
        self._commands = count(0)

    def apply(self, event: Event) -> None:
        self.views.apply(batch(event, first=next(self._commands)))

    def place(self, process: GatewayProcess | None, broker: str = ALICE, **more: object) -> str:
        """An open order of a session of this process; None: one that stays in the market."""
        number = next(self._numbers)
        event = limit(number, broker, "bid", 10, 100, **more)
        if process is not None:
            order_id = ids.session_order_id(T0 + number, 0, number, process.origin)
            event = structs.replace(event, order_id=order_id)
        self.apply(event)
        return event.order_id

    def close(self, order_id: str) -> None:
        self.apply(OrderCancelled(order_id, ALICE, "PETR4", 10, 1))

    def sent(self) -> list[tuple[str, str]]:
        """Order and broker of each cancel."""
        commands = [decode_command(value) for *_, value in self.sender.sent]
        return [(it.order_id, it.broker_id) for it in commands if isinstance(it, CancelOrder)]


def test_orders_of_earlier_starts_of_a_gateway_are_cancelled_and_no_others() -> None:
    async def scenario() -> None:
        market = Market()
        first = market.place(LONG_BEFORE)
        for process in (None, NOW, OTHER):
            market.place(process)
        second = market.place(BEFORE, BOB)
        assert market.left.cancel("desk") == (2, 2)
        assert market.sent() == [(first, ALICE), (second, BOB)]

    run_scenario(scenario)


def test_orders_of_a_gateway_that_does_not_come_back_are_cancelled_by_its_name() -> None:
    async def scenario() -> None:
        market = Market()
        market.place(BEFORE)
        left = market.place(OTHER)
        assert market.left.cancel("other") == (1, 1)
        assert market.left.cancel("unknown") == (0, 0)
        assert market.sent() == [(left, ALICE)]

    run_scenario(scenario)


def test_order_that_is_closed_is_not_cancelled() -> None:
    async def scenario() -> None:
        market = Market()
        market.close(market.place(BEFORE))
        market.place(BEFORE, left=0, closed="no_liquidity")
        market.place(BEFORE)
        maker = market.place(BEFORE)
        hit = structs.replace(fill(1, 1, ALICE, 100, 10, 0), maker_order_id=maker)
        market.apply(limit(9, BOB, "ask", 10, 100, left=0, closed="filled", fills=(hit,)))
        assert market.left.cancel("desk") == (1, 1)

    run_scenario(scenario)


def test_order_gets_one_cancel_until_its_outcome_shows_it_closed() -> None:
    async def scenario() -> None:
        market = Market()
        order_id = market.place(BEFORE)
        assert [market.left.cancel("desk") for _ in range(3)] == [(1, 1), (0, 1), (0, 1)]
        later = market.place(BEFORE)
        assert market.left.cancel("desk") == (1, 2)
        market.close(order_id)
        market.close(later)
        assert market.left.cancel("desk") == (0, 0)
        assert market.sent() == [(order_id, ALICE), (later, ALICE)]

    run_scenario(scenario)


@pytest.mark.parametrize("result", ["not_stored", "unknown"])
def test_cancel_that_was_not_stored_is_sent_again(result: DeliveryResult) -> None:
    async def scenario() -> None:
        market = Market(result)
        order_id = market.place(BEFORE)
        assert market.left.cancel("desk") == (1, 1)
        market.sender.result = "stored"
        assert [market.left.cancel("desk") for _ in range(2)] == [(1, 1), (0, 1)]
        assert market.sent() == [(order_id, ALICE)] * 2

    run_scenario(scenario)


def test_cancels_wait_while_the_log_takes_none() -> None:
    async def scenario() -> None:
        market = Market(None, in_flight_max=2)
        placed = [market.place(BEFORE) for _ in range(3)]
        assert [market.left.cancel("desk") for _ in range(2)] == [(2, 3), (0, 3)]
        for report in market.sender.pending:
            report("stored")
        assert market.left.cancel("desk") == (1, 3)
        assert market.sent() == [(each, ALICE) for each in placed]

    run_scenario(scenario)


def test_many_orders_are_cancelled_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_orders, "PORTION", 2)

    async def scenario() -> None:
        market = Market()
        placed = [market.place(BEFORE) for _ in range(5)]
        found = [market.left.cancel("desk") for _ in range(4)]
        assert found == [(2, 5), (2, 5), (1, 5), (0, 5)]
        assert market.sent() == [(each, ALICE) for each in placed]

    run_scenario(scenario)


def test_nothing_is_cancelled_before_the_views_are_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(left_orders, "_CHECK_S", 0.0)

    async def scenario() -> None:
        market = Market()
        market.ready = False
        order_id = market.place(BEFORE)
        running = asyncio.create_task(market.left.run())
        for _ in range(10):
            await asyncio.sleep(0)
        assert market.sent() == []
        market.ready = True
        while not market.sent():  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        assert market.sent() == [(order_id, ALICE)]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    run_scenario(scenario)


def test_restored_order_of_an_earlier_start_is_cancelled() -> None:
    async def scenario() -> None:
        market = Market()
        order_id = market.place(BEFORE)
        record = market.views.order(order_id)
        assert record is not None
        market.views = Views()
        market.views.restore_symbol("PETR4", 0, 1)
        market.views.restore_order(record)
        assert market.left.cancel("desk") == (1, 1)

    run_scenario(scenario)


def test_operators_call_answers_how_many_are_open() -> None:
    async def scenario() -> None:
        market = Market()
        market.place(OTHER)
        handler = SessionsHandler(market.left, lambda: market.ready)

        async def ask(body: bytes) -> Response:
            return await handler.cancel(body)

        answers = [(await ask(b'{"gateway":"other"}')).body for _ in range(2)]
        found = [msgspec.json.decode(each, type=CancelSessionsResult) for each in answers]
        assert found == [CancelSessionsResult("other", sent, 1) for sent in (1, 0)]
        for body, code in (
            (b"{", "malformed_json"),
            (b"{}", "invalid"),
            (b'{"gateway":""}', "invalid"),
            (b'{"gateway":"other","gateway":"desk"}', "invalid"),
        ):
            with pytest.raises(ProblemError) as refused:
                await ask(body)
            assert refused.value.code == code
        market.ready = False
        with pytest.raises(ProblemError) as refused:
            await ask(b'{"gateway":"desk"}')
        assert refused.value.status == 503

    run_scenario(scenario)
