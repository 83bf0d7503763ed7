"""What a reader shows at the end, held against the log: orders as they stand, each to its owner
alone; balances, books and last prices.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Final

from conformance.api import Answer, Api
from tests.chaos.reconciliation import Account, Market, Shop, Standing, accounts, shops, standings

# Each costs a request; a view that is wrong is seldom wrong about one order only.
ORDERS_ASKED_MAX: Final = 300
STRANGERS_ASK_MAX: Final = 30
_DEPTH = 50


def not_shown(url: str, keys: Mapping[str, str], market: Market, seed: int) -> list[str]:
    """Differences in words. `keys` by broker id; orders of other brokers are not asked for."""
    brokers = {broker_id: Api(url, key) for broker_id, key in keys.items()}
    orders = {i: s for i, s in standings(market).items() if s.broker_id in brokers}
    asked = random.Random(seed).sample(sorted(orders), min(ORDERS_ASKED_MAX, len(orders)))
    held = accounts(market)
    anyone = next(iter(brokers.values()))
    try:
        found = [_order(brokers[orders[i].broker_id], i, orders[i]) for i in asked]
        found += _strangers(brokers, {i: orders[i] for i in asked[:STRANGERS_ASK_MAX]})
        found += [_balance(api, i, held.get(i, Account())) for i, api in brokers.items()]
        for symbol, shop in shops(market).items():
            found += [_book(anyone, symbol, shop), _price(anyone, symbol, shop)]
    except (OSError, HTTPException) as error:
        return [f"the reader does not answer: {error!r}"]
    return [difference for difference in found if difference]


def _order(api: Api, order_id: str, wanted: Standing) -> str:
    answer = api.get(f"/orders/{order_id}")
    if answer.status != 200:
        return f"order {order_id} is answered {answer.status}"
    shown = answer.body
    # An order that was open when the log was read may have expired since.
    closed_as_well = wanted.open or shown["status"] == "closed"
    if shown["remaining_quantity"] != wanted.remaining or not closed_as_well:
        return f"order {order_id} is shown as {shown}, the log has {wanted}"
    return ""


def _strangers(brokers: Mapping[str, Api], orders: Mapping[str, Standing]) -> Iterator[str]:
    for order_id, order in orders.items():
        stranger = next(api for i, api in brokers.items() if i != order.broker_id)
        if stranger.get(f"/orders/{order_id}").status != 404:
            yield f"order {order_id} is shown to another broker"


def _balance(api: Api, broker_id: str, wanted: Account) -> str:
    answer = api.get("/balance")
    shares = {symbol: held for symbol, held in wanted.shares.items() if held}
    if answer.status == 200:
        shown = {each["symbol"]: each["quantity"] for each in answer.body["positions"]}
        if (answer.body["balance"], shown) == (wanted.cash, shares):
            return ""
    return f"balance of {broker_id} is {_told(answer)}, the log has {wanted}"


def _book(api: Api, symbol: str, wanted: Shop) -> str:
    answer = api.get(f"/stocks/{symbol}/book?depth={_DEPTH}")
    if answer.status == 200:
        shown = answer.body
        if shown["sequence"] > wanted.sequence:
            # Something expired since the log was read.
            return ""
        sides = {"bid": _side(shown["bids"]), "ask": _side(shown["asks"])}
        if shown["sequence"] == wanted.sequence and sides == _best(wanted):
            return ""
    return f"book of {symbol} is {_told(answer)}, the log has {wanted}"


def _side(levels: Sequence[Mapping[str, int]]) -> list[list[int]]:
    return [[each["price"], each["total_quantity"], each["order_count"]] for each in levels]


def _best(shop: Shop) -> dict[str, list[list[int]]]:
    levels = {
        side: sorted([price, *level] for (own, price), level in shop.levels.items() if own == side)
        for side in ("bid", "ask")
    }
    return {"bid": levels["bid"][::-1][:_DEPTH], "ask": levels["ask"][:_DEPTH]}


def _price(api: Api, symbol: str, wanted: Shop) -> str:
    answer = api.get(f"/stocks/{symbol}/price")
    shown = answer.body["last_price"] if answer.status == 200 else None
    if answer.status not in (200, 404) or shown != wanted.last_price:
        return f"price of {symbol} is {_told(answer)}, the log has {wanted.last_price}"
    return ""


def _told(answer: Answer) -> str:
    return f"{answer.status} {answer.raw.decode(errors='replace')}"
