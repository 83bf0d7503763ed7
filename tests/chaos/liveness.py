"""After all is healed: every service is ready again, and the market does what a market does."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Final

from conformance.api import Answer, Api
from schemas.partitions import default_partition
from tests.chaos.cluster import SERVICES, Cluster

READY_S: Final = 120.0
ANSWER_S: Final = 60.0
# Long enough for an order to get through, short enough to wait for its end.
VALID_S: Final = 1.5
EXPIRED_S: Final = 15.0
_POLL_S = 0.2


def not_live(cluster: Cluster) -> list[str]:
    """What does not work within its time, in words; nothing when all is well."""
    deadline = time.monotonic() + READY_S
    waiting = set(SERVICES)
    while waiting and time.monotonic() < deadline:
        waiting = {name for name in waiting if not cluster.stack.ready(name)}
        time.sleep(_POLL_S)
    if waiting:
        return [f"{name} is not ready {READY_S:.0f} s after all was healed" for name in waiting]
    admin = Api(cluster.stack.url, cluster.stack.admin_key)
    registered = _until(201, lambda: admin.call("POST", "/register", {"name": "Fresh"}))
    if registered.status != 201:
        return [f"a fresh broker cannot register: {registered.status}"]
    broker = Api(cluster.stack.url, str(registered.body["api_key"]))
    symbols = [
        _symbol(number, cluster.stack.settings.partitions)
        for number in range(cluster.stack.settings.partitions)
    ]
    found = [fault for symbol in symbols for fault in _trade(broker, symbol)]
    return found or _expire(broker, symbols)


def _trade(broker: Api, symbol: str) -> list[str]:
    placed = _until(201, lambda: broker.place("bid", symbol, 100, 100))
    if placed.status != 201:
        return [f"a fresh order of {symbol} was answered {placed.status}"]
    order_id = str(placed.body["order_id"])
    cancelled = _until(204, lambda: broker.cancel(order_id))
    if cancelled.status != 204:
        return [f"the cancel of a fresh order of {symbol} was answered {cancelled.status}"]
    return []


def _expire(broker: Api, symbols: list[str]) -> list[str]:
    """In a quiet market nothing but the matcher's own tick tells that an order is over."""
    until = datetime.now(UTC) + timedelta(seconds=VALID_S)
    placed = [broker.place("bid", s, 100, 100, valid_until=until.isoformat()) for s in symbols]
    wrong = [
        f"an order that is soon over was answered {a.status}" for a in placed if a.status != 201
    ]
    if wrong:
        return wrong
    deadline = time.monotonic() + EXPIRED_S
    waiting = {str(answer.body["order_id"]) for answer in placed}
    while waiting and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        waiting = {i for i in waiting if broker.order(i)["closed_reason"] != "expired"}
    return [f"order {i} is not over {EXPIRED_S:.0f} s after it was due" for i in waiting]


def _symbol(partition: int, partitions: int) -> str:
    """One that this partition trades."""
    names = (f"FRESH{number}" for number in range(1_000))
    return next(name for name in names if default_partition(name, partitions) == partition)


def _until(status: int, call: Callable[[], Answer]) -> Answer:
    """The answer with this status, or the last one in time; 0: there was none."""
    deadline = time.monotonic() + ANSWER_S
    answer = Answer(0, {}, b"")
    while answer.status != status and time.monotonic() < deadline:
        try:
            answer = call()
        except (OSError, HTTPException) as error:
            answer = Answer(0, {}, repr(error).encode())
        if answer.status != status:
            time.sleep(_POLL_S)
    return answer
