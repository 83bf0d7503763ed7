"""Command logs, each a fixed sequence of records. Pure.

The records are written as text, without the structs and the codec of the product, and the only
source of randomness is `random.Random.random`, whose values are the same in every Python version.
So the bytes depend on this package alone; `golden.json` holds their SHA-256, which makes a change
of it as visible as a change of a recorded file would be.
"""

from collections.abc import Callable, Iterator

from tests.golden.controlled_market import market_controls
from tests.golden.market import START_MS, TICK, LoggedCommand, Market

_HOUR_MS = 3_600_000
_UNREADABLE = (None, b"", b"[]", b'{"type":"place_order"}', b"\xff", b'{"type":"unknown"}')


def mixed() -> Iterator[LoggedCommand]:
    """100,000 commands of a market: orders, cancels, ticks, unreadable records, late timestamps."""
    market = Market(11, symbols=60, brokers=25, prices=50)
    now = START_MS
    for offset in range(100_000):
        now += market.below(20)
        draw = market.below(1_000)
        value: bytes | None
        if draw < 5:
            value = _UNREADABLE[market.below(len(_UNREADABLE))]
        elif draw < 15:
            value = TICK
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
    market = Market(12, symbols=8, brokers=5, prices=400)
    now = START_MS
    for offset in range(30_000):
        now += market.below(10)
        if offset == 25_000:
            now = START_MS + _HOUR_MS
        if market.chance(0.02):
            value = TICK
        elif market.placed and market.chance(0.05):
            value = market.cancel()
        elif market.chance(0.8):
            value = market.place(valid_until=START_MS + _HOUR_MS - market.below(3))
        else:
            value = market.place(valid_until=now + market.below(2_000) - 2)
        yield LoggedCommand(offset, now, value)


def quotas() -> Iterator[LoggedCommand]:
    """30,000 commands: quotas that change, brokers that reach them, repeated and stale orders."""
    market = Market(14, symbols=40, brokers=4, prices=60)
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
    market = Market(15, symbols=20, brokers=10, prices=40)
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
    market = Market(13, symbols=5, brokers=4, prices=30)
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
    "market_controls": market_controls,
}
