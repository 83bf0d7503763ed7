"""Random command flows, dense on purpose: few prices, ids and brokers, so that orders cross,
expire, repeat and collide all the time. The same seed gives the same flow, whatever the hash seed.
"""

import random
from collections.abc import Iterator

from msgspec import Struct

from schemas.commands import CancelOrder, Command, PlaceOrder, Tick
from schemas.units import Side
from services.matcher.engine import Rules
from tests.support.orders import START_MS, broker_id, order_id

SIDES: tuple[Side, Side] = ("bid", "ask")


class Step(Struct, frozen=True):
    """One record of the log: its offset, its timestamp, its command (None is unreadable)."""

    offset: int
    timestamp: int
    command: Command | None


class Shape(Struct, frozen=True):
    """How crowded a flow is: the sizes of the spaces its values are drawn from."""

    symbols: int
    brokers: int
    orders: int
    prices: int
    quantities: int
    client_ids: int
    lifetimes_ms: int
    cancels: float
    markets: float


def random_shape(rng: random.Random) -> Shape:
    """From one crowded price of one symbol to a market with room."""
    return Shape(
        symbols=rng.choice((1, 1, 2, 3)),
        brokers=rng.choice((1, 2, 4)),
        orders=rng.choice((6, 20, 40)),
        prices=rng.choice((1, 3, 8)),
        quantities=rng.choice((1, 5, 30)),
        client_ids=rng.choice((1, 4, 12)),
        lifetimes_ms=rng.choice((4, 20, 100)),
        cancels=rng.choice((0.1, 0.3)),
        markets=rng.choice((0.02, 0.2)),
    )


def random_rules(rng: random.Random) -> Rules:
    """Half of the runs have the caps of production, the others tiny ones."""
    whole_book = (rng.choice((1, 3, 1_000)), rng.choice((0, 2, 20_000)))
    if rng.random() < 0.5:
        return Rules(whole_book_every=whole_book[0], whole_book_levels_max=whole_book[1])
    return Rules(
        fills_max=rng.choice((1, 2, 5)),
        expiries_max=rng.choice((1, 2, 5)),
        client_ids_max=rng.choice((1, 2, 5)),
        client_id_window_ms=rng.choice((1, 10, 50)),
        whole_book_every=whole_book[0],
        whole_book_levels_max=whole_book[1],
    )


def flow(rng: random.Random, shape: Shape, commands: int) -> Iterator[Step]:
    """`commands` records whose clock mostly creeps, sometimes leaps and sometimes runs back."""
    now = START_MS
    for offset in range(commands):
        now += rng.choice((0, 0, 0, 1, 1, 2, 5))
        if rng.random() < 0.01:
            now += shape.lifetimes_ms
        behind = rng.randint(0, 10) if rng.random() < 0.1 else 0
        yield Step(offset, now - behind, _command(rng, shape, now))


def _command(rng: random.Random, shape: Shape, now: int) -> Command | None:
    draw = rng.random()
    if draw < 0.01:
        return None
    if draw < 0.03:
        return Tick()
    order = order_id(rng.randrange(shape.orders), partition=3)
    broker = broker_id(rng.randrange(shape.brokers))
    if draw < 0.03 + shape.cancels:
        return CancelOrder(order_id=order, broker_id=broker)
    is_market = rng.random() < shape.markets
    mortal = rng.random() < 0.4
    return PlaceOrder(
        order_id=order,
        broker_id=broker,
        document_number=rng.choice(("1", "1", "1", "2")),
        symbol=f"SYM{rng.randrange(shape.symbols)}",
        side=rng.choice(SIDES),
        order_type="market" if is_market else "limit",
        quantity=rng.randint(1, shape.quantities),
        price=None if is_market else 100 + rng.randrange(shape.prices),
        valid_until=now + rng.randint(-1, shape.lifetimes_ms) if mortal else None,
        client_order_id=f"c{rng.randrange(shape.client_ids)}" if rng.random() < 0.3 else None,
    )
