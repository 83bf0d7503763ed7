"""Memory that a process retains after brokers have created everything that they can create.

Each test applies the same load twice, beyond every quota and window. The second half must leave the
state as large as the first: a structure that grows forever has no bound.
"""

import sys
from collections.abc import Iterable, Iterator
from gc import get_referents
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from msgspec import Struct, structs

from schemas import ids
from schemas.commands import CancelOrder, Command, PlaceOrder, SetQuotas, Tick
from schemas.quotas import Quotas
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from tests.support.orders import START_MS, broker_id, limit

QUOTAS: Final = Quotas(open_orders_max=50, symbols_max=20, client_order_ids_max=100)
RULES: Final = Rules(client_id_window_ms=2_000, client_id_block=50, order_id_window_ms=1_000)
BROKERS: Final = 3
ORDERS: Final = 6_000
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


def test_matcher_and_views_do_not_grow_beyond_the_quotas() -> None:
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
