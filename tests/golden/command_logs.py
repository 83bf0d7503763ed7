"""Command logs, each a fixed sequence of records. Pure.

The records are written as text, without the structs and the codec of the product, and the only
source of randomness is `random.Random.random`, whose values are the same in every Python version.
So the bytes depend on this file alone; `golden.json` holds their SHA-256, which makes a change of
this file as visible as a change of a recorded file would be.
"""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

PARTITION = 3
START_MS = 1_767_225_600_000
_HOUR_MS = 3_600_000


class LoggedCommand(NamedTuple):
    """One record of a command log; `timestamp` in milliseconds."""

    offset: int
    timestamp: int
    value: bytes | None


class _Market:
    """Draws values and writes commands; remembers what it placed, to cancel and repeat it."""

    def __init__(self, seed: int, *, symbols: int, brokers: int, prices: int) -> None:
        self._random = random.Random(seed)
        self._symbols = symbols
        self._brokers = brokers
        self._prices = prices
        self.placed: list[tuple[str, str]] = []

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def below(self, bound: int) -> int:
        """An integer from 0 to `bound` - 1."""
        return int(self._random.random() * bound)

    def broker_id(self) -> str:
        """One of the brokers."""
        return f"{self.below(self._brokers):08x}-0000-4000-8000-000000000000"

    def new_order_id(self) -> str:
        """A UUIDv7 of the golden partition, numbered."""
        number = len(self.placed)
        return f"{number >> 16:08x}-{number & 0xFFFF:04x}-7{PARTITION:03x}-8000-{number:012x}"

    def timed_order_id(self, now: int) -> str:
        """A UUIDv7 of the golden partition with this creation time, numbered."""
        high = f"{now:012x}"
        return f"{high[:8]}-{high[8:]}-7{PARTITION:03x}-8000-{len(self.placed):012x}"

    def place(self, *, valid_until: int | None = None, client_id: str | None = None) -> bytes:
        """A new order; every tenth is a market order."""
        order_id, broker = self.new_order_id(), self.broker_id()
        self.placed.append((order_id, broker))
        side = "bid" if self.chance(0.5) else "ask"
        symbol = f"SYM{self.below(self._symbols)}"
        quantity = 100 * (1 + self.below(20))
        market = self.chance(0.1)
        # Both sides overlap in a fifth of their prices, so that books fill and orders trade.
        step = self.below(self._prices)
        price = 2_000 + (step if side == "ask" else self._prices // 5 - step)
        text = (
            f'{{"type":"place_order","order_id":"{order_id}","broker_id":"{broker}",'
            f'"document_number":"{10_000_000_000 + self.below(90_000_000)}","symbol":"{symbol}",'
            f'"side":"{side}","order_type":"{"market" if market else "limit"}",'
            f'"quantity":{quantity}'
        )
        if not market:
            text += f',"price":{price}'
            if valid_until is not None:
                text += f',"valid_until":{valid_until}'
        if client_id is not None:
            text += f',"client_order_id":"{client_id}"'
        return (text + "}").encode()

    def place_at(self, now: int) -> bytes:
        """A new order whose id has this creation time; one in three has a client order id."""
        order_id, number = self.timed_order_id(now), len(self.placed)
        client_id = f"q-{number}" if self.chance(0.3) else None
        value = self.place(client_id=client_id)
        plain_id, broker = self.placed[-1]
        self.placed[-1] = (order_id, broker)
        return value.replace(plain_id.encode(), order_id.encode(), 1)

    def with_condition(self, order: bytes) -> bytes:
        """The order with a condition that goes with its type."""
        market_order = b'"order_type":"market"' in order
        draw = self.below(3 if market_order else 5)
        if draw == 0:
            more = b'"time_in_force":"fok"'
        elif draw == 1:
            more = b'"minimum_quantity":100'
        elif draw == 2 and market_order:
            more = b'"time_in_force":"ioc"'
        elif draw == 2:
            more = b'"time_in_force":"ioc","minimum_quantity":100'
        else:
            more = b'"time_in_force":"ioc"' if draw == 3 else b'"post_only":true'
        order = order.replace(b'"type":"place_order"', b'"type":"enter_order"', 1)
        return order[:-1] + b"," + more + b"}"

    def cancel(self) -> bytes:
        """The cancel of a recent order, one in ten by a broker who may not own it."""
        recent = min(len(self.placed), 2_000)
        order_id, broker = self.placed[-1 - self.below(recent)]
        if self.chance(0.1):
            broker = self.broker_id()
        return f'{{"type":"cancel_order","order_id":"{order_id}","broker_id":"{broker}"}}'.encode()


_TICK = b'{"type":"tick"}'
_UNREADABLE = (None, b"", b"[]", b'{"type":"place_order"}', b"\xff", b'{"type":"unknown"}')


def mixed() -> Iterator[LoggedCommand]:
    """100,000 commands of a market: orders, cancels, ticks, unreadable records, late timestamps."""
    market = _Market(11, symbols=60, brokers=25, prices=50)
    now = START_MS
    for offset in range(100_000):
        now += market.below(20)
        draw = market.below(1_000)
        value: bytes | None
        if draw < 5:
            value = _UNREADABLE[market.below(len(_UNREADABLE))]
        elif draw < 15:
            value = _TICK
        elif draw < 270 and market.placed:
            value = market.cancel()
        else:
            value = market.place(
                valid_until=now + market.below(60_000) if market.chance(0.1) else None,
                client_id=f"c-{market.below(30_000)}" if market.chance(0.3) else None,
            )
        # A record's timestamp may be earlier than that of the record before it.
        yield LoggedCommand(offset, now - market.below(50), value)


def expiries() -> Iterator[LoggedCommand]:
    """30,000 commands: orders that expire together, more than one command may expire at once."""
    market = _Market(12, symbols=8, brokers=5, prices=400)
    now = START_MS
    for offset in range(30_000):
        now += market.below(10)
        if offset == 25_000:
            now = START_MS + _HOUR_MS
        if market.chance(0.02):
            value = _TICK
        elif market.placed and market.chance(0.05):
            value = market.cancel()
        elif market.chance(0.8):
            value = market.place(valid_until=START_MS + _HOUR_MS - market.below(3))
        else:
            value = market.place(valid_until=now + market.below(2_000) - 2)
        yield LoggedCommand(offset, now, value)


def quotas() -> Iterator[LoggedCommand]:
    """30,000 commands: quotas that change, brokers that reach them, repeated and stale orders."""
    market = _Market(14, symbols=40, brokers=4, prices=60)
    sent: list[bytes] = []
    now = START_MS
    for offset in range(30_000):
        now += market.below(100)
        if offset % 5_000 == 500:
            bounds = (900 + offset // 20, 9 + offset // 10_000, 600 + offset // 40)
            value = (
                f'{{"type":"set_quotas","quotas":{{"open_orders_max":{bounds[0]},'
                f'"symbols_max":{bounds[1]},"client_order_ids_max":{bounds[2]}}}}}'
            ).encode()
        elif sent and market.chance(0.05):
            value = sent[-1 - market.below(min(len(sent), 3_000))]
        elif market.placed and market.chance(0.2):
            value = market.cancel()
        else:
            value = market.place_at(now - (400_000 if market.chance(0.02) else 0))
            sent.append(value)
        yield LoggedCommand(offset, now, value)


def conditions() -> Iterator[LoggedCommand]:
    """60,000 commands: half of the orders with conditions, the others plain."""
    market = _Market(15, symbols=20, brokers=10, prices=40)
    now = START_MS
    for offset in range(60_000):
        now += market.below(20)
        if market.placed and market.chance(0.15):
            value = market.cancel()
        else:
            client_id = f"k-{market.below(20_000)}" if market.chance(0.3) else None
            value = market.place(client_id=client_id)
            if market.chance(0.5):
                value = market.with_condition(value)
        yield LoggedCommand(offset, now, value)


def repeated_client_ids() -> Iterator[LoggedCommand]:
    """30,000 commands: repeated orders, other orders under a used id, ids older than an hour."""
    market = _Market(13, symbols=5, brokers=4, prices=30)
    sent: list[bytes] = []
    now = START_MS
    for offset in range(30_000):
        now += market.below(800)
        if sent and market.chance(0.4):
            value = sent[-1 - market.below(min(len(sent), 12_000))]
            if market.chance(0.3):
                value = value.replace(b'"document_number":"1', b'"document_number":"2', 1)
            if market.chance(0.5):
                value = value.replace(b"-8000-0", b"-8000-f", 1)
        elif market.placed and market.chance(0.1):
            value = market.cancel()
        else:
            value = market.place(client_id=f"r.{market.below(9_000)}")
            sent.append(value)
        yield LoggedCommand(offset, now, value)


LOGS: dict[str, Callable[[], Iterator[LoggedCommand]]] = {
    "mixed": mixed,
    "expiries": expiries,
    "repeated_client_ids": repeated_client_ids,
    "quotas": quotas,
    "conditions": conditions,
}
