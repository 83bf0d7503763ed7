"""Records of a seeded market, written as text, of which the command logs consist. Pure."""

import random
from typing import NamedTuple

PARTITION = 3
START_MS = 1_767_225_600_000


class LoggedCommand(NamedTuple):
    """One record of a command log; `timestamp` in milliseconds."""

    offset: int
    timestamp: int
    value: bytes | None


class Market:
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


TICK = b'{"type":"tick"}'
