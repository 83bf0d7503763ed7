"""Memory that a process retains after brokers have created everything that they can create.

Each test applies the same load twice, beyond every quota and window. The second half must leave the
state as large as the first: a structure that grows forever has no bound.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from gc import get_referents
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

import pytest
from msgspec import Struct, structs

from schemas import ids
from schemas.brokers import Broker, IssuedSecret, key_hash, webhook_secret
from schemas.codec import encode
from schemas.commands import CancelOrder, Command, PlaceOrder, SetQuotas, Tick
from schemas.executions import Outcome
from schemas.quotas import Quotas
from services.api.brokers import BrokerDirectory
from services.api.rate_limits import RateLimiter, RateLimits
from services.ingest.waiters import CancelResult, Waiters
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from services.reader import own_events
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from services.sink.rows import Rows
from tests.support.orders import START_MS, broker_id, limit
from tests.support.sizes import sized

QUOTAS: Final = Quotas(open_orders_max=50, symbols_max=20, client_order_ids_max=100)
RULES: Final = Rules(client_id_window_ms=2_000, client_id_block=50, order_id_window_ms=1_000)
BROKER: Final = Broker(broker_id(1), "Alfa", key_hash("alfa"), 0, "http://a/")
BROKERS: Final = 3
ORDERS: Final = sized(3_000, 6_000)
# Hash tables and queues grow and shrink in steps; a leak of one small object per order is far more.
TOLERANCE: Final = 0.10
_NOT_STATE: Final = (type, ModuleType, FunctionType, MethodType)


def size_of(roots: Iterable[object]) -> int:
    """Bytes of everything that the roots refer to, each object once. Classes do not count."""
    seen: set[int] = set()
    pending: list[Any] = list(roots)
    total = 0
    while pending:
        found = pending.pop()
        if id(found) in seen or isinstance(found, _NOT_STATE):
            continue
        seen.add(id(found))
        total += sys.getsizeof(found)
        # A message without a garbage collector's header has no referents there.
        pending.extend(
            structs.astuple(found) if isinstance(found, Struct) else get_referents(found)
        )
    return total


def load(first: int) -> Iterator[tuple[int, Command]]:
    """`ORDERS` orders with all that may stay behind: time and command.

    Symbols and client ids are new each time; some orders rest, some trade, some do neither.
    """
    for number in range(first, first + ORDERS):
        now = START_MS + number
        order = structs.replace(
            limit(number),
            order_id=ids.order_id(now, 0, number),
            broker_id=broker_id(number % BROKERS),
        )
        yield now, structs.replace(order, symbol=f"M{number}", order_type="market", price=None)
        yield now, from_another_id(order, 1, symbol=f"L{number}", client_order_id=f"c{number}")
        yield (
            now,
            from_another_id(order, 2, symbol="RESTS", price=1 + number, broker_id=broker_id(9)),
        )
        offered = from_another_id(order, 3, symbol="TRADES", side="ask", broker_id=broker_id(8))
        yield now, structs.replace(offered, valid_until=now + 500)
        yield now, from_another_id(order, 4, symbol="TRADES", quantity=30, broker_id=broker_id(7))
        yield now, CancelOrder(from_another_id(order, 1).order_id, order.broker_id)
        yield now, offered
        yield now, Tick()


def from_another_id(order: PlaceOrder, kind: int, **changes: object) -> PlaceOrder:
    """The order with another id, of the same time, and these changes."""
    created, number = ids.created_ms(order.order_id), int(order.order_id[-12:], 16)
    order_id = ids.order_id(created, 0, number + (kind << 40))
    return structs.replace(order, order_id=order_id, **changes)


def test_size_includes_the_contents_of_structs_and_containers() -> None:
    text = "x" * 10_000
    assert size_of([[limit(1, document_number=text)]]) > 10_000
    assert size_of([text, [text]]) < 11_000


def test_matcher_and_views_do_not_grow_beyond_the_quotas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_events, "KEPT_MAX", ORDERS)
    engine, views = Engine(0, RULES), Views()
    offset = 0
    sizes: list[tuple[int, int]] = []
    for part in range(3):
        commands = [(START_MS, SetQuotas(QUOTAS)), *load(part * ORDERS)]
        for now, command in commands:
            at = EnginePosition(0, offset, now)
            views.apply(Batch(0, offset, (engine.apply(command, at),)))
            views.forget_stored(0, offset)
            offset += 1
        sizes.append((size_of([engine]), size_of([views])))
    # The first part fills the windows and quotas.
    for earlier, later in zip(sizes[1], sizes[2], strict=True):
        assert later < earlier * (1 + TOLERANCE), sizes


def test_views_do_not_grow_by_the_stored_trades_of_an_open_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_events, "KEPT_MAX", 100)
    engine, views = Engine(0, RULES), Views()
    sizes: list[int] = []
    for number in range(3 * ORDERS):
        # The first order offers far more than the others take.
        is_first = number == 0
        order = structs.replace(
            limit(number, side="ask" if is_first else "bid", quantity=10**6 if is_first else 1),
            order_id=ids.order_id(START_MS + number, 0, number),
            broker_id=broker_id(is_first),
        )
        outcome = engine.apply(order, EnginePosition(0, number, START_MS + number))
        views.apply(Batch(0, number, (outcome,)))
        views.forget_stored(0, number)
        if (number + 1) % ORDERS == 0:
            sizes.append(size_of([views]))
    assert sizes[2] < sizes[1] * (1 + TOLERANCE), sizes


def rotate_secrets(directory: BrokerDirectory, first: int, count: int) -> None:
    """Rotate a broker's webhook secret `count` times, as ingest does, and delete ended ones."""
    for number in range(first, first + count):
        secret = webhook_secret(number.to_bytes(32, "big"))
        issued = IssuedSecret(BROKER.broker_id, secret, START_MS + number)
        directory.apply(issued.key.encode(), encode(issued))
        for key in directory.ended_secrets(BROKER.broker_id):
            directory.apply(key.encode(), None)


def test_directory_does_not_grow_by_rotated_secrets() -> None:
    async def scenario() -> None:
        directory = BrokerDirectory("the-admin-key")
        directory.apply(BROKER.broker_id.encode(), encode(BROKER))
        rotate_secrets(directory, 0, 500)
        before = size_of([directory])
        rotate_secrets(directory, 500, 500)
        assert size_of([directory]) < before * (1 + TOLERANCE)

    asyncio.run(scenario())


def test_rate_limiter_does_not_grow_beyond_its_tables() -> None:
    limiter = RateLimiter(RateLimits(10, 10, 10, 60, 20, 10, 10))

    def use(first: int, count: int) -> int:
        for number in range(first, first + count):
            address = f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
            limiter.unauthenticated(address, number / 1_000)
        return size_of([limiter])

    # Twice the same phase of its two tables, which are dropped when full.
    before = use(0, 25_000)
    assert use(25_000, 20_000) < before * (1 + TOLERANCE)


def test_waiters_do_not_grow_by_requests_without_an_outcome() -> None:
    async def scenario() -> None:
        waiters = Waiters(asyncio.get_running_loop())
        results: list[Outcome | CancelResult | None] = []

        def use(first: int) -> int:
            for number in range(first, first + 2_000):
                order_id = ids.order_id(START_MS, 0, number)
                waiters.expect_placed(order_id, results.append, 1_000)
                waiters.forget_placed(order_id)
                waiters.expect_cancel(order_id, BROKER.broker_id, results.append, 1_000)
                waiters.forget_cancel(order_id, BROKER.broker_id, results.append)
            kept = [waiters._placed, waiters._cancels, waiters._deadlines._queues]
            return len(waiters) + size_of(kept)

        before = use(0)
        assert use(2_000) < before * (1 + TOLERANCE)

    asyncio.run(scenario())


def test_sink_rows_are_those_of_one_run() -> None:
    engine = Engine(0, RULES)
    sizes: list[int] = []
    for part in range(2):
        rows = Rows()
        for offset, (now, command) in enumerate(load(part * 500), part * 100_000):
            if offset % 100_000 >= 2_000:
                break
            at = EnginePosition(0, offset, now)
            rows.add(Batch(0, offset, (engine.apply(command, at),)))
        sizes.append(size_of([rows]))
    assert sizes[1] < sizes[0] * (1 + TOLERANCE), sizes
