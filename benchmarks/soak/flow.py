"""A day of a whole market as records of the command log, generated quickly from a seed.

Pure: time is an argument. The same seed, brokers and times give the same bytes. Records are written
from templates, since creating and encoding structs takes several times as long; a test compares the
templates with the codec. Every resting order leaves the book: it is filled near the mid price,
cancelled, or expires, so that the number of open orders stays bounded.
"""

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from msgspec import Struct

from loadgen.workload.tickers import PRICE_CENTS_MAX, PRICE_CENTS_MIN, tickers, zipf_weights
from schemas.partitions import spread

# Counts of one day at B3.
ORDERS: Final = 20_000_000
BROKERS: Final = 100
SYMBOLS: Final = 450
ORDERS_PER_CANCELS: Final = (53, 19)

# Shares of all orders. Takers (market or crossing) match orders that rest near the mid price.
MARKET: Final = 0.04
CROSSING: Final = 0.05
NEAR: Final = 0.07
# An order nearer to the mid price than this is likely filled before a cancel reaches it.
DEEP_CENTS: Final = 5
# One order in this many of a symbol moves its mid price by a cent.
WALK_ONE_IN: Final = 24
# Orders that will not be cancelled expire after this time.
VALID_MS: Final = (1_000, 20_000)
# One placed order in this many awaits its cancel at any time, so it waits about 1 % of the day.
WAITING_ONE_IN: Final = 100
# A short day still needs enough orders to choose a cancel from.
WAITING_LEAST: Final = 200
LOT: Final = 100
LOTS_MAX: Final = 10
_DRAWS: Final = 1 << 16
_VARIANT: Final = 1 << 63


class FlowRecord(NamedTuple):
    """A record of the command log."""

    partition: int
    key: bytes | None
    value: bytes


class DayMarket(Struct, frozen=True):
    """Brokers' ids, symbols, and each symbol's partition."""

    brokers: tuple[str, ...]
    symbols: tuple[str, ...]
    weights: tuple[int, ...]
    partitions: tuple[int, ...]


def shares_of(symbols: int = SYMBOLS) -> dict[str, int]:
    """Expected share of volume by symbol, in parts per million."""
    return dict(zip(tickers(symbols), zipf_weights(symbols, 100), strict=True))


def market_of(brokers: Sequence[str], partitions: int, symbols: int = SYMBOLS) -> DayMarket:
    """The market of these brokers, with symbols assigned to partitions as for fresh listings."""
    shares = shares_of(symbols)
    placed = spread(shares, partitions)
    return DayMarket(
        tuple(brokers),
        tuple(shares),
        tuple(shares.values()),
        tuple(placed[symbol] for symbol in shares),
    )


class DayFlow:
    """Endless commands. `orders` and `cancels` count those generated; `day_orders` is the scale."""

    def __init__(self, market: DayMarket, day_orders: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._market = market
        self._keys = [symbol.encode() for symbol in market.symbols]
        self._mids = [
            self._random.randint(PRICE_CENTS_MIN, PRICE_CENTS_MAX) for _ in market.symbols
        ]
        self._draws = _table(market.weights)
        self._waiting: list[FlowRecord] = []
        self._waiting_max = max(WAITING_LEAST, day_orders // WAITING_ONE_IN)
        placed, cancelled = ORDERS_PER_CANCELS
        self._cancel_share = cancelled / (placed + cancelled)
        self.orders = 0
        self.cancels = 0

    def commands(self, count: int, now_ms: int) -> list[FlowRecord]:
        """The next `count` commands, all with this time."""
        time = f"{now_ms:012x}"
        heads = {
            partition: f"{time[:8]}-{time[8:]}-7{partition:03x}-"
            for partition in set(self._market.partitions)
        }
        draw, share = self._random.random, self._cancel_share
        made: list[FlowRecord] = []
        for _ in range(count):
            if self._waiting and draw() < share:
                made.append(self._cancel())
            else:
                made.append(self._order(heads, now_ms))
        return made

    def _cancel(self) -> FlowRecord:
        """A cancel of a random order that awaits one; few of these were filled meanwhile."""
        waiting = self._waiting
        at = int(self._random.random() * len(waiting))
        chosen, waiting[at] = waiting[at], waiting[-1]
        waiting.pop()
        self.cancels += 1
        return chosen

    def _order(self, heads: dict[int, str], now_ms: int) -> FlowRecord:
        draw, market = self._random.random, self._market
        symbol = self._draws[int(draw() * _DRAWS)]
        broker = int(draw() * len(market.brokers))
        bid = draw() < 0.5  # noqa: PLR2004
        kind = draw()
        self.orders += 1
        random_bits = f"{_VARIANT | self._random.getrandbits(62):016x}"
        partition = market.partitions[symbol]
        order_id = f"{heads[partition]}{random_bits[:4]}-{random_bits[4:]}"
        broker_id = market.brokers[broker]
        order_type, price, until = "limit", "", ""
        if kind < MARKET:
            order_type = "market"
        else:
            cents, waits = self._price(symbol, bid, kind)
            price = f',"price":{cents}'
            if waits is None:
                least, most = VALID_MS
                until = f',"valid_until":{now_ms + least + int(draw() * (most - least))}'
            elif waits:
                self._waiting.append(_cancel_of(partition, order_id, broker_id))
        value = (
            f'{{"type":"place_order","order_id":"{order_id}","broker_id":"{broker_id}",'
            f'"document_number":"{broker:03d}{int(draw() * 100_000_000):08d}",'
            f'"symbol":"{market.symbols[symbol]}","side":"{"bid" if bid else "ask"}",'
            f'"order_type":"{order_type}","quantity":{LOT + LOT * int(draw() * LOTS_MAX)}'
            f'{price}{until},"client_order_id":"B{broker:03d}-{self.orders:012d}"}}'
        )
        return FlowRecord(partition, self._keys[symbol], value.encode())

    def _price(self, symbol: int, bid: bool, kind: float) -> tuple[int, bool | None]:
        """The price in cents, and True if the order awaits a cancel, or None if it will expire."""
        draw, mids = self._random.random, self._mids
        if draw() * WALK_ONE_IN < 1:
            mids[symbol] = max(PRICE_CENTS_MIN // 2, mids[symbol] + (1 if draw() < 0.5 else -1))  # noqa: PLR2004
        towards, waits = 1 if bid else -1, None
        if kind < MARKET + CROSSING:
            return mids[symbol] + towards * (1 + int(draw() * 4)), False
        if kind < MARKET + CROSSING + NEAR:
            return mids[symbol] - towards * (1 + int(draw() * (DEEP_CENTS - 1))), None
        distance = DEEP_CENTS + int(draw() * draw() * 40)
        if len(self._waiting) < self._waiting_max:
            waits = True
        return mids[symbol] - towards * distance, waits


def _cancel_of(partition: int, order_id: str, broker_id: str) -> FlowRecord:
    value = f'{{"type":"cancel_order","order_id":"{order_id}","broker_id":"{broker_id}"}}'
    return FlowRecord(partition, None, value.encode())


def _table(weights: Sequence[int]) -> list[int]:
    """Indexes in proportion to their weights, so that one draw is one look-up."""
    sums = list(accumulate(weights))
    table, index = [], 0
    for slot in range(_DRAWS):
        while (slot + 1) * sums[-1] > sums[index] * _DRAWS and index < len(sums) - 1:
            index += 1
        table.append(index)
    return table
