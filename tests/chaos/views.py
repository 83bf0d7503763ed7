"""Check of a reader's views against the topics at the end: orders, each visible to its owner only;
balances, order books and last prices.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Final

from conformance.api import Answer, Api
from tests.chaos.reconciliation import (
    Account,
    Market,
    OrderState,
    SymbolView,
    accounts,
    order_states,
    symbol_views,
)

# Bounds on the requests: a wrong view is rarely wrong about a single order.
ORDERS_READ_MAX: Final = 300
ORDERS_READ_BY_OTHERS_MAX: Final = 30
_DEPTH = 50


def view_differences(url: str, keys: Mapping[str, str], market: Market, seed: int) -> list[str]:
    """Differences, one line each. `keys`: API keys by broker id; only their orders are read."""
    brokers = {broker_id: Api(url, key) for broker_id, key in keys.items()}
    orders = {i: s for i, s in order_states(market).items() if s.broker_id in brokers}
    sample = random.Random(seed).sample(sorted(orders), min(ORDERS_READ_MAX, len(orders)))
    held = accounts(market)
    reader = next(iter(brokers.values()))
    try:
        found = [_order(brokers[orders[i].broker_id], i, orders[i]) for i in sample]
        found += _orders_of_others(
            brokers, {i: orders[i] for i in sample[:ORDERS_READ_BY_OTHERS_MAX]}
        )
        found += [_balance(api, i, held.get(i, Account())) for i, api in brokers.items()]
        for symbol, view in symbol_views(market).items():
            found += [_book(reader, symbol, view), _price(reader, symbol, view)]
    except (OSError, HTTPException) as error:
        return [f"the reader does not answer: {error!r}"]
    return [difference for difference in found if difference]


def _order(api: Api, order_id: str, wanted: OrderState) -> str:
    answer = api.get(f"/orders/{order_id}")
    if answer.status != 200:
        return f"order {order_id} is answered {answer.status}"
    shown = answer.body
    # An order that was open when the topics were read may have expired since.
    closed_as_well = wanted.open or shown["status"] == "closed"
    if shown["remaining_quantity"] != wanted.remaining or not closed_as_well:
        return f"order {order_id} is shown as {shown}, expected {wanted}"
    return ""


def _orders_of_others(
    brokers: Mapping[str, Api], orders: Mapping[str, OrderState]
) -> Iterator[str]:
    for order_id, order in orders.items():
        other_broker = next(api for i, api in brokers.items() if i != order.broker_id)
        if other_broker.get(f"/orders/{order_id}").status != 404:
            yield f"order {order_id} is shown to another broker"


def _balance(api: Api, broker_id: str, wanted: Account) -> str:
    answer = api.get("/balance")
    shares = {symbol: held for symbol, held in wanted.shares.items() if held}
    if answer.status == 200:
        shown = {each["symbol"]: each["quantity"] for each in answer.body["positions"]}
        if (answer.body["balance"], shown) == (wanted.cash, shares):
            return ""
    return f"balance of {broker_id} is {_text(answer)}, expected {wanted}"


def _book(api: Api, symbol: str, wanted: SymbolView) -> str:
    answer = api.get(f"/stocks/{symbol}/book?depth={_DEPTH}")
    if answer.status == 200:
        shown = answer.body
        if shown["sequence"] > wanted.sequence:
            # An order expired after the topics were read.
            return ""
        sides = {"bid": _side(shown["bids"]), "ask": _side(shown["asks"])}
        if shown["sequence"] == wanted.sequence and sides == _best(wanted):
            return ""
    return f"book of {symbol} is {_text(answer)}, expected {wanted}"


def _side(levels: Sequence[Mapping[str, int]]) -> list[list[int]]:
    return [[each["price"], each["total_quantity"], each["order_count"]] for each in levels]


def _best(view: SymbolView) -> dict[str, list[list[int]]]:
    levels = {
        side: sorted([price, *level] for (own, price), level in view.levels.items() if own == side)
        for side in ("bid", "ask")
    }
    return {"bid": levels["bid"][::-1][:_DEPTH], "ask": levels["ask"][:_DEPTH]}


def _price(api: Api, symbol: str, wanted: SymbolView) -> str:
    answer = api.get(f"/stocks/{symbol}/price")
    shown = answer.body["last_price"] if answer.status == 200 else None
    if answer.status not in (200, 404) or shown != wanted.last_price:
        return f"price of {symbol} is {_text(answer)}, expected {wanted.last_price}"
    return ""


def _text(answer: Answer) -> str:
    return f"{answer.status} {answer.raw.decode(errors='replace')}"
