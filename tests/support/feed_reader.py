"""A client of a running exchange's live feed, and orders that give it something to send."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from websockets.sync.client import ClientConnection, connect

from conformance.api import Api
from tests.support.exchange import Exchange

RECEIVE_S = 20.0
# Of orders and their changes: a busy machine may decide them later than the default second.
WAITING_OPS = ("place", "cancel", "replace", "batch")
WAIT_S = 10
NOT_ACCEPTED = 503
ORDERS = 60

Answer = TypeVar("Answer")


def until_accepted(send: Callable[[], Answer], status: Callable[[Answer], int]) -> Answer:
    """The answer to a request, which is sent again after a 503: nothing was written by it."""
    deadline = time.monotonic() + RECEIVE_S
    answer = send()
    while status(answer) == NOT_ACCEPTED and time.monotonic() < deadline:
        time.sleep(0.1)
        answer = send()
    return answer


def feed_url(exchange: Exchange) -> str:
    return exchange.url.replace("http://", "ws://") + "/ws"


class FeedReader:
    """A client that keeps every message of its connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[dict[str, Any]] = []
        self._ids = 0

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=RECEIVE_S))
        self.messages.append(message)
        return message

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Send an operation and read up to its response, with the outcome if it has one."""
        if op in WAITING_OPS:
            fields = {"wait_s": WAIT_S} | fields
        self._ids += 1
        self.connection.send(json.dumps({"op": op, "id": self._ids, **fields}))
        return self.until(lambda each: each.get("id") == self._ids)

    def place(self, order: dict[str, Any]) -> dict[str, Any]:
        """The placed order."""
        answer = until_accepted(
            lambda: self.ask("place", order=order), lambda answer: int(answer["status"])
        )
        assert "order" in answer, answer
        placed: dict[str, Any] = answer["order"]
        return placed

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read up to the first message that is wanted."""
        while not wanted(self.receive()):
            pass
        return self.messages[-1]


@contextmanager
def feed_of(exchange: Exchange, **more: Any) -> Iterator[FeedReader]:
    with connect(feed_url(exchange), **more) as connection:
        reader = FeedReader(connection)
        assert reader.receive()["type"] == "hello"
        yield reader


def trade_on(symbol: str, broker: Api, seed: int) -> None:
    """Orders that rest, trade and are cancelled; the last one rests, so that the book changes."""
    rng = random.Random(seed)
    open_ids = []
    for _ in range(ORDERS):
        side, price = rng.choice(("bid", "ask")), rng.randrange(95, 106)
        open_ids.append(_placed(broker, side, symbol, rng.randrange(1, 50), price))
        if rng.random() < 0.3:
            broker.cancel(open_ids.pop(rng.randrange(len(open_ids))))
    broker.place("bid", symbol, 1, 1)


def _placed(broker: Api, side: str, symbol: str, quantity: int, price: int) -> str:
    """The id of an order that was placed."""
    answer = until_accepted(
        lambda: broker.place(side, symbol, quantity, price), lambda answer: answer.status
    )
    assert "order_id" in answer.body, answer
    order_id: str = answer.body["order_id"]
    return order_id
