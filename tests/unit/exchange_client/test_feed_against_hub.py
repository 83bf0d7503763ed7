"""The client's feed against the feed of the exchange, over a network that loses and cuts."""

import json
import random

import pytest

from exchange_client.channels import Channels
from exchange_client.events import Book, Trade
from exchange_client.feed_state import FeedState
from exchange_client.inbox import Inbox
from schemas.feed import Hello
from services.feeds.order_entry import OrderEntry
from services.feeds.session import FeedSession
from tests.support.feed_market import FeedMarket
from tests.support.feed_session import Keys, RecordedCalls

STEPS = 60
HELLO = Hello(1, "log", "boot", 0, True, 1, 5)


Shown = tuple[int, int, int]


def levels_of(book: Book) -> list[Shown]:
    """All levels, bids first, each side from its best."""
    return [(each.price, each.quantity, each.orders) for each in (*book.bids, *book.asks)]


class Network:
    """Connections between one feed state and the hub of a market."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.market = FeedMarket(seed=seed)
        symbols = self.market.symbols
        channels = Channels(books=symbols, trades=symbols, after=dict.fromkeys(symbols, 0))
        self.state = FeedState(channels, None, Inbox())
        self.taken: dict[str, list[int]] = {symbol: [] for symbol in symbols}
        self.books: dict[str, Book] = {}
        # The levels of each symbol and sequence that a flush has shown.
        self.history: dict[tuple[str, int], list[Shown]] = {}
        self.now = 0.0
        self.connect()

    def connect(self) -> None:
        client, self.output = self.market.client()
        self.session = FeedSession(
            self.market.hub,
            client,
            Keys(),
            HELLO,
            lambda: self.now,
            OrderEntry(RecordedCalls(), "desk/boot/1"),
        )
        client.write_out()

    def cut(self) -> None:
        self.state.lost("cut")
        self.connect()

    def deliver(self, loss: float = 0.0) -> None:
        """Pass on what both sides have sent; changes are lost with this probability."""
        self.now += 1.0
        while self.output.received or self.state.outgoing:
            while self.output.received:
                message = self.output.received.pop(0)
                kind = message["type"]
                if kind not in ("trade", "book_update") or self.rng.random() >= loss:
                    self.state.received(json.dumps(message), self.now)
            while self.state.outgoing:
                self.session.receive(self.state.outgoing.popleft().encode())
            self.flush()
        self._fetch()
        self._take()

    def flush(self) -> None:
        """One flush of the hub, which shows the books as they are now."""
        for symbol in self.market.symbols:
            book = self.market.views.book_view(symbol)
            levels = (*book.levels("bid"), *book.levels("ask"))
            self.history[symbol, book.sequence] = [
                (each.price, each.total_quantity, each.order_count) for each in levels
            ]
        self.market.flush()

    def _fetch(self) -> None:
        while self.state.fetches:
            symbol, after = self.state.fetches.popleft()
            if symbol is None:
                self.state.fetched_newest({})
                continue
            trades = [each for each in self.market.trades if each["symbol"] == symbol]
            page = [each for each in trades if each["sequence"] > after][:5]
            names = Trade.__dataclass_fields__
            self.state.fetched_trades(
                symbol, [Trade(**{name: each[name] for name in names}) for each in page]
            )

    def _take(self) -> None:
        while (event := self.state.inbox.take()) is not None:
            if isinstance(event, Trade):
                self.taken[event.symbol].append(event.sequence)
            elif isinstance(event, Book):
                self.books[event.symbol] = event
                # A book of the past is right too, or the client should not have believed it.
                assert levels_of(event) == self.history[event.symbol, event.sequence]


@pytest.mark.parametrize("seed", range(4))
def test_feed_over_a_bad_network_equals_the_market(seed: int) -> None:
    network = Network(seed)
    for _ in range(STEPS):
        network.market.trade(network.rng.randrange(1, 20))
        network.flush()
        network.deliver(loss=0.1)
        if network.rng.random() < 0.2:
            network.cut()
    # The loss of the very last change shows only in what follows it.
    network.cut()
    for _ in range(15):
        network.deliver()
    for symbol in network.market.symbols:
        trades = [each for each in network.market.trades if each["symbol"] == symbol]
        assert network.taken[symbol] == [each["sequence"] for each in trades]
        assert network.books[symbol].sequence == network.market.views.book_view(symbol).sequence
