"""What the reader shows at the end, held against the log: orders as they stand, and balances."""

import random
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final

from tests.chaos.tally import Market, Standing, cash, standings
from tests.support.api import Api

# Each costs a request; a view that is wrong is seldom wrong about one order only.
ORDERS_ASKED_MAX: Final = 300


def not_shown(url: str, keys: Mapping[str, str], market: Market, seed: int) -> list[str]:
    """Differences in words. `keys` by broker id; orders of other brokers are not asked for."""
    brokers = {broker_id: Api(url, key) for broker_id, key in keys.items()}
    orders = {i: s for i, s in standings(market).items() if s.broker_id in brokers}
    asked = random.Random(seed).sample(sorted(orders), min(ORDERS_ASKED_MAX, len(orders)))
    try:
        found = [_order(brokers[orders[i].broker_id], i, orders[i]) for i in asked]
        found += [_balance(api, broker_id, market) for broker_id, api in brokers.items()]
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


def _balance(api: Api, broker_id: str, market: Market) -> str:
    answer = api.get("/balance")
    wanted = cash(market).get(broker_id, 0)
    if answer.status != 200 or answer.body["balance"] != wanted:
        return f"balance of {broker_id} is {answer.status} {answer.body}, the log has {wanted}"
    return ""
