"""Orders that share a request: collecting them, the body, and the results of its answer. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from loadgen.client.record import NO_ANSWER
from loadgen.workload.orderflow import PlannedOrder

_OK: Final = 200


class _Result(Struct, frozen=True):
    status: int
    order: Raw = Raw()
    pending: Raw = Raw()
    problem: Raw = Raw()


class _Results(Struct, frozen=True):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Results).decode


class Batches:
    """The orders of each broker that wait for others. At most `size` are sent together."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: dict[int, list[int]] = {}

    def add(self, index: int, order: PlannedOrder) -> list[int]:
        """The orders to send now, as indices of actions; empty while the broker's wait."""
        waiting = self._waiting.setdefault(order.broker, [])
        waiting.append(index)
        return self.take(order.broker) if len(waiting) == self._size else []

    def take(self, broker: int) -> list[int]:
        """The broker's waiting orders, which are to be sent now."""
        return self._waiting.pop(broker, [])

    def awaits(self, broker: int, index: int) -> bool:
        """True while this order waits."""
        return index in self._waiting.get(broker, ())

    def brokers(self) -> list[int]:
        """The brokers with waiting orders."""
        return list(self._waiting)


def batch_body(orders: Iterable[bytes]) -> bytes:
    """Body of `POST /orders/batch` of these bodies of `POST /orders`."""
    return b'{"items":[%s]}' % b",".join(b'{"place":%s}' % order for order in orders)


def results_of(count: int, status: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Status and body for each of `count` orders. An answer other than 200 is for all of them."""
    results: list[_Result] = []
    if status == _OK:
        try:
            results = _decode(body).results
        except msgspec.MsgspecError:
            results = []
        if len(results) != count:
            status, body = NO_ANSWER, b"not one result for each item"
            results = []
    for number in range(count):
        if results:
            result = results[number]
            yield result.status, bytes(result.order or result.pending or result.problem)
        else:
            yield status, body
