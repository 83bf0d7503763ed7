"""A market that is the same each time: books, trades and candles of several symbols."""

import random
from collections.abc import Sequence

from conformance.api import Api

DOCUMENT = "12345678901"
PRICES = {"PETR4": 3712, "VALE3": 6105, "ITUB4": 3390, "BBAS3": 2745, "ABEV3": 1288, "WEGE3": 5420}
LEVELS = 50
BATCH = 100


def seed_market(api: Api, symbols: Sequence[str] = tuple(PRICES), trades: int = 60) -> None:
    """Fill a book of up to 50 levels on each side of each symbol, then trade around the middle."""
    for number, symbol in enumerate(symbols):
        middle = PRICES.get(symbol, 1000 + 37 * number)
        rng = random.Random(symbol)
        _place(api, [_level(rng, symbol, middle, n) for n in range(2 * LEVELS)])
        _place(api, [_taker(rng, symbol, middle) for _ in range(trades)])


def _level(rng: random.Random, symbol: str, middle: int, n: int) -> dict[str, object]:
    side = "bid" if n % 2 else "ask"
    distance = n // 2 + 1
    price = middle - distance if side == "bid" else middle + distance
    return _order(symbol, side, price, rng.randrange(1, 60) * 100)


def _taker(rng: random.Random, symbol: str, middle: int) -> dict[str, object]:
    side = rng.choice(("bid", "ask"))
    price = middle + (5 if side == "bid" else -5)
    return _order(symbol, side, price, rng.randrange(1, 20) * 100)


def _order(symbol: str, side: str, price: int, quantity: int) -> dict[str, object]:
    return {
        "document_number": DOCUMENT,
        "side": side,
        "symbol": symbol,
        "price": max(1, price),
        "quantity": quantity,
    }


def _place(api: Api, orders: list[dict[str, object]]) -> None:
    for start in range(0, len(orders), BATCH):
        items = [
            {"place": order | {"client_order_id": f"seed-{order['symbol']}-{id(order)}"}}
            for order in orders[start : start + BATCH]
        ]
        answer = api.call("POST", "/orders/batch", {"items": items})
        assert answer.status == 200, answer.body
        assert {result["status"] for result in answer.body["results"]} == {201}, answer.body
