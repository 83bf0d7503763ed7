"""Liveness check after all faults are healed: every service is ready, and trading works."""

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
# Long enough for an order to be accepted, short enough to wait for its expiry.
VALID_S: Final = 1.5
EXPIRED_S: Final = 15.0
_POLL_S = 0.2


def liveness_failures(cluster: Cluster) -> list[str]:
    """Everything that does not work within its time limit, one line each."""
    deadline = time.monotonic() + READY_S
    waiting = set(SERVICES)
    while waiting and time.monotonic() < deadline:
        waiting = {name for name in waiting if not cluster.stack.ready(name)}
        time.sleep(_POLL_S)
    if waiting:
        return [f"{name} is not ready {READY_S:.0f} s after the last heal" for name in waiting]
    admin = Api(cluster.stack.url, cluster.stack.admin_key)
    registered = _until(201, lambda: admin.call("POST", "/register", {"name": "New"}))
    if registered.status != 201:
        return [f"a new broker cannot register: {registered.status}"]
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
        return [f"a new order of {symbol} was answered {placed.status}"]
    order_id = str(placed.body["order_id"])
    cancelled = _until(204, lambda: broker.cancel(order_id))
    if cancelled.status != 204:
        return [f"the cancel of a new order of {symbol} was answered {cancelled.status}"]
    return []


def _expire(broker: Api, symbols: list[str]) -> list[str]:
    """Failures of orders to expire. Without other commands, this needs the matcher's tick."""
    until = datetime.now(UTC) + timedelta(seconds=VALID_S)
    placed = [broker.place("bid", s, 100, 100, valid_until=until.isoformat()) for s in symbols]
    wrong = [
        f"an order that expires soon was answered {a.status}" for a in placed if a.status != 201
    ]
    if wrong:
        return wrong
    deadline = time.monotonic() + EXPIRED_S
    waiting = {str(answer.body["order_id"]) for answer in placed}
    while waiting and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        waiting = {i for i in waiting if broker.order(i)["closed_reason"] != "expired"}
    return [f"order {i} has not expired after {EXPIRED_S:.0f} s" for i in waiting]


def _symbol(partition: int, partitions: int) -> str:
    """A symbol of this partition."""
    names = (f"FRESH{number}" for number in range(1_000))
    return next(name for name in names if default_partition(name, partitions) == partition)


def _until(status: int, call: Callable[[], Answer]) -> Answer:
    """The first answer with this status, else the last one in ANSWER_S; 0: none."""
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
