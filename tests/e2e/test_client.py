"""`exchange_client` against a running exchange: nothing missing and nothing doubled."""

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from conformance.api import eventually
from exchange_client import (
    AsyncClient,
    Book,
    Channels,
    Client,
    Disconnected,
    Feed,
    OwnEvent,
    OwnOrders,
    RefusedError,
    Trade,
)
from tests.support.exchange import Exchange

ORDERS = 300
# A gateway on a busy machine is back well within this time.
DEADLINE_S = 60.0


def order_of(symbol: str, number: int, **more: Any) -> dict[str, Any]:
    side = ("bid", "ask")[number % 2]
    order = {"document_number": "1", "symbol": symbol, "side": side, "price": 100 + number % 3}
    return order | {"quantity": 1 + number % 7, "client_order_id": f"c-{number}"} | more


class Seen:
    """The events that a feed has yielded."""

    def __init__(self) -> None:
        self.trades: list[int] = []
        self.own: dict[int, list[int]] = {}
        self.placed: list[str] = []
        self.book: Book | None = None
        self.losses = 0

    def read(self, feed: Feed, trades: int, book: int) -> None:
        """Read up to the trade and the book with these sequences."""
        while trades not in self.trades or self.book is None or self.book.sequence < book:
            event = feed.next(DEADLINE_S)
            assert event is not None, "the feed is silent"
            match event:
                case Trade():
                    self.trades.append(event.sequence)
                case Book():
                    self.book = event
                case OwnEvent():
                    self.own.setdefault(event.partition, []).append(event.sequence)
                    if event.fields.get("cause") == "placed":
                        self.placed.append(event.fields["order"]["client_order_id"])
                case Disconnected():
                    self.losses += 1


def test_client_loses_and_doubles_nothing_over_a_killed_gateway(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Client")
    seen = Seen()
    channels = Channels(
        books=[symbol], trades=[symbol], own_events=True, own_after={}, after={symbol: 0}
    )
    with Client(exchange.url, key, DEADLINE_S) as client, client.feed(channels) as feed:
        with client.order_session() as session:
            answers: list[Future[Any]] = []
            for number in range(ORDERS):
                answers.append(session.soon.place(**order_of(symbol, number)))
                if number == ORDERS // 2:
                    answers[number // 2].result()
                    exchange.stack.services["gateway"].kill()
                    exchange.stack.start("gateway")
            orders = [answer.result() for answer in answers]
        newest, depth = client.price(symbol)["sequence"], client.depth(symbol, depth=50)
        seen.read(feed, newest, depth["sequence"])
        page = client.orders(symbol=symbol, limit=500)["orders"]
    assert seen.losses > 0
    names = {f"c-{number}" for number in range(ORDERS)}
    assert {order["client_order_id"] for order in orders} == names
    assert sorted(order["client_order_id"] for order in page) == sorted(names)
    assert seen.trades == list(range(1, newest + 1))
    assert sorted(seen.placed) == sorted(names)
    for sequences in seen.own.values():
        assert sequences == list(range(1, len(sequences) + 1))
    assert seen.book is not None
    for side, levels in (("bids", seen.book.bids), ("asks", seen.book.asks)):
        assert [tuple(level) for level in levels] == [tuple(each.values()) for each in depth[side]]


@pytest.mark.parametrize("keep_orders", [False, True])
def test_end_of_a_session_cancels_its_orders_if_asked_to(
    exchange: Exchange, keep_orders: bool
) -> None:
    symbol = exchange.symbol()
    with Client(exchange.url, exchange.register("Quotes")) as client:
        elsewhere = client.place(**order_of(symbol, 0, client_order_id="by-http"))
        session = client.order_session(cancel_on_disconnect=True)
        with session:
            session.place(**order_of(symbol, 0))
            session.place(**order_of(symbol, 2))
            session.cancel_named(symbol, "c-0")
            session.close(keep_orders=keep_orders)
        left = {elsewhere["client_order_id"]} | ({"c-2"} if keep_orders else set())

        def open_orders() -> set[str]:
            page = client.orders(status="open")["orders"]
            return {order["client_order_id"] for order in page}

        eventually("what is to stay stays", lambda: open_orders() == left)


def test_cancel_of_all_over_a_session_has_a_place_among_orders(exchange: Exchange) -> None:
    symbol = exchange.symbol()
    with (
        Client(exchange.url, exchange.register("Everything"), DEADLINE_S) as client,
        client.order_session() as session,
    ):
        assert session.validate(**order_of(symbol, 0))["symbol"] == symbol
        before = [session.soon.place(**order_of(symbol, number)) for number in (0, 2, 4)]
        cancelled = session.soon.cancel_all()
        after = session.soon.place(**order_of(symbol, 6))
        ids = [answer.result()["order_id"] for answer in before]
        assert cancelled.result() == {
            "cancelled_count": 3,
            "cancelled": ids,
            "pending_partitions": [],
        }
        (left,) = client.orders(status="open")["orders"]
        assert left["order_id"] == after.result()["order_id"]
        assert client.cancel_all(symbol, "ask")["cancelled_count"] == 0
        assert client.cancel_all(symbol, "bid")["cancelled"] == [left["order_id"]]


def test_refusals_are_errors_with_the_problem_of_the_exchange(exchange: Exchange) -> None:
    symbol = exchange.symbol()
    with Client(exchange.url, exchange.register("Refused")) as client:
        with pytest.raises(RefusedError) as refused, client.order_session() as session:
            session.place(**order_of(symbol, 0, price=-1))
        assert (refused.value.status, refused.value.problem["errors"][0]["pointer"]) == (
            422,
            "/price",
        )
        with pytest.raises(RefusedError) as refused:
            client.cancel("00000000-0000-4000-8000-000000000000")
        assert refused.value.code == "order_not_found"
    with (
        Client(exchange.url, "mx_wrong") as stranger,
        pytest.raises(RefusedError) as refused,
        stranger.own_events() as feed,
    ):
        feed.next(DEADLINE_S)
    assert refused.value.status == 401


def test_asynchronous_client_follows_a_book_and_its_own_orders(exchange: Exchange) -> None:
    symbol, key = exchange.symbol(), exchange.register("Asynchronous")

    async def follow() -> tuple[Book, dict[str, Any]]:
        async with AsyncClient(exchange.url, key) as client, client.book(symbol) as books:
            async with client.own_events() as own, client.order_session() as session:
                async for event in own:
                    if isinstance(event, OwnOrders):
                        assert event.orders == ()
                        break
                work = [session.place(**order_of(symbol, 2 * number)) for number in range(5)]
                placed = await asyncio.gather(*work)
                replaced = await session.replace(placed[0]["order_id"], quantity=9)
                assert (
                    replaced["quantity"] == (await client.order(replaced["order_id"]))["quantity"]
                )
            async for event in books:
                # The five orders, of which one has a new quantity, which may come later.
                if isinstance(event, Book) and sum(each.quantity for each in event.bids) == 26:
                    return event, await client.depth(symbol)
        raise AssertionError("the feed ended")

    book, depth = asyncio.run(asyncio.wait_for(follow(), DEADLINE_S))
    assert [tuple(each) for each in book.bids] == [tuple(each.values()) for each in depth["bids"]]
