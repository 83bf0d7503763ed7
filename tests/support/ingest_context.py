"""Ingest behind its HTTP application, with a fake Kafka sender and a fake reader.

The test publishes the outcomes in place of the matcher.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from schemas.brokers import Broker, key_hash
from schemas.codec import decode_command, encode
from schemas.commands import AmendOrder, CancelOrder, PlaceOrder
from schemas.executions import RULES_LEVEL, Event, Expired, OrderAccepted, Outcome
from schemas.market_controls import MarketState
from schemas.orders import OrderRecord
from schemas.rest import OrderResource
from schemas.topics import BROKERS
from services.api.app import ApiApp, Request
from services.api.brokers import BrokerDirectory
from services.api.framework import make_framework
from services.api.partition_map import PartitionMap
from services.api.rate_limits import RateLimiter, RateLimits
from services.ingest.app import Ingest
from services.ingest.context import IngestContext
from services.ingest.lookup import LookupUnavailableError, OrderViews
from services.ingest.publish import Publisher
from services.ingest.waiters import Waiters
from services.runtime.kafka.execution_filter import Batch
from services.runtime.kafka.producer import DeliveryResult
from tests.support.asgi_driver import AsgiRequest, AsgiResponse, drive

Sent = TypeVar("Sent")
NOW_MS = 1_800_000_000_000
ADMIN_KEY = "the-admin-key-of-this-test"
BROKER = Broker("33be8111-b9b1-40c1-a6e6-2395694c9eef", "Alfa", key_hash("alfa"), 0)
OTHER = Broker("44be8111-b9b1-40c1-a6e6-2395694c9eef", "Beta", key_hash("beta"), 0)
ORDER = b'{"document_number":"1","side":"bid","symbol":"A","quantity":10,"price":5}'


class FakeSender:
    """Keeps each record and reports `result` at once; None: the test calls `pending` instead."""

    def __init__(self, result: DeliveryResult | None = "stored") -> None:
        self.available = True
        self.refusal: Exception | None = None
        self.result = result
        self.sent: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.on_stored: Callable[[str, bytes | None, bytes | None], None] | None = None
        self.pending: list[Callable[[DeliveryResult], None]] = []

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        result: Callable[[DeliveryResult], None],
    ) -> None:
        """Keep the record. Raises BufferError if `full`."""
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((topic, partition, key, value))
        if self.result is None:
            self.pending.append(result)
        else:
            result(self.result)
        if self.result == "stored" and self.on_stored is not None:
            self.on_stored(topic, key, value)


class IngestHarness:
    """One ingest with its HTTP application, on the running event loop."""

    # No record is held.
    window_s = 0.0

    def __init__(
        self,
        sender: FakeSender,
        *,
        wait_ms: int = 2_000,
        in_flight_max: int = 10,
        delivery_ms: int = -950,
        limits: RateLimits | None = None,
        randomness: Callable[[int], bytes] = lambda count: bytes(range(count)),
    ) -> None:
        rate_limiter = RateLimiter(limits or RateLimits())
        loop = asyncio.get_running_loop()
        self.sender = sender
        self.orders: dict[str, OrderResource] = {}
        self.reader_unavailable = False
        self.rules_level = RULES_LEVEL
        self.markets: dict[str, MarketState] = {}
        self.publisher = Publisher(
            sender,
            in_flight_max=in_flight_max,
            delivery_timeout_ms=delivery_ms,
            window_s=self.window_s,
        )
        self.directory = BrokerDirectory(ADMIN_KEY)
        for broker in (BROKER, OTHER):
            self.directory.apply(broker.broker_id.encode(), encode(broker))
        sender.on_stored = self._read_back
        self.waiters = Waiters(loop)
        self.partition_map = PartitionMap(2)
        context = IngestContext(
            publisher=self.publisher,
            waiters=self.waiters,
            views=OrderViews(self._lookup, self._named_lookup, market_at_hand=self.markets.get),
            partition_map=self.partition_map,
            rate_limiter=rate_limiter,
            loop=loop,
            topic_prefix="t-",
            partitions=2,
            outcome_wait_ms=wait_ms,
            clock=lambda: NOW_MS,
            randomness=randomness,
            rules_level=lambda _: self.rules_level,
        )
        self.ingest = Ingest(context, self.directory)
        routes = self.ingest.routes()
        framework = make_framework("Ingest", routes, self.ingest.routers())
        self.edge = ApiApp(routes, self.directory, framework, rate_limiter)

    def _read_back(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        if topic == BROKERS.full_name("t-"):
            self.directory.apply(key, value)

    async def _lookup(self, order_id: str, request: Request) -> OrderResource | None:
        if self.reader_unavailable:
            raise LookupUnavailableError
        order = self.orders.get(order_id)
        return order if request.broker == BROKER else None

    async def _named_lookup(
        self, symbol: str, client_order_id: str, request: Request
    ) -> str | None:
        if self.reader_unavailable:
            raise LookupUnavailableError
        found = [
            order_id
            for order_id, order in self.orders.items()
            if (order.symbol, order.client_order_id) == (symbol, client_order_id)
        ]
        return max(found, default=None) if request.broker == BROKER else None

    async def post(
        self, path: str, body: bytes = b"", key: str = "alfa", prefer: str = ""
    ) -> AsgiResponse:
        """Send one request; return the response."""
        sent = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        if prefer:
            sent["Prefer"] = prefer
        answered = await drive(self.edge, AsgiRequest("POST", path, sent, (body,)))
        assert answered is not None
        return answered

    async def command(self, count: int = 1) -> PlaceOrder | CancelOrder | AmendOrder:
        """Wait until `count` commands were sent; return the last."""
        while len(self.sender.sent) < count:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        # One more turn of the loop, so that the request waits for its outcome.
        await asyncio.sleep(0)
        command = decode_command(self.sender.sent[-1][3])
        assert isinstance(command, PlaceOrder | CancelOrder | AmendOrder)
        return command

    def publish(self, event: Event, *expired: Expired) -> None:
        """Give ingest an outcome, like the matcher."""
        self.ingest.on_batch(Batch(0, 0, (Outcome(NOW_MS + 1, event, expired),)))


async def call_as_admin(harness: IngestHarness, request: str, body: bytes) -> AsgiResponse:
    """Send a JSON body with the admin's key; `request`: method and path, `PUT /path`."""
    method, _, path = request.partition(" ")
    headers = {
        "Authorization": f"Bearer {ADMIN_KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    answered = await drive(harness.edge, AsgiRequest(method, path, headers, (body,)))
    assert answered is not None
    return answered


async def sent_command(harness: IngestHarness, kind: type[Sent]) -> Sent:
    """The newest command, once one was sent."""
    while not harness.sender.sent:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    command = decode_command(harness.sender.sent[-1][3])
    assert isinstance(command, kind)
    return command


def accepted(order_id: str, **changes: Any) -> OrderAccepted:
    """Outcome of ORDER as an open order, with `changes`."""
    fields: dict[str, Any] = {
        "order_id": order_id,
        "broker_id": BROKER.broker_id,
        "document_number": "1",
        "symbol": "A",
        "side": "bid",
        "order_type": "limit",
        "quantity": 10,
        "remaining_quantity": 10,
        "book_sequence": 1,
        "price": 5,
    }
    return OrderAccepted(**(fields | changes))


def resource(order_id: str, **changes: Any) -> OrderResource:
    """REST resource of ORDER as an open order, with `changes`."""
    return OrderRecord.accepted(accepted(order_id, **changes), NOW_MS).resource()


def run_scenario(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario in a new event loop. Raises TimeoutError after five seconds."""
    asyncio.run(asyncio.wait_for(scenario(), 5))
