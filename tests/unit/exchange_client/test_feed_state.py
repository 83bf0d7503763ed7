"""A feed's state: nothing missing and nothing doubled, whatever the connection does."""

import json
from typing import Any

import pytest

from exchange_client.channels import Channels
from exchange_client.errors import RefusedError
from exchange_client.events import (
    Candle,
    Connected,
    Disconnected,
    Event,
    OwnEvent,
    OwnOrders,
    Ticker,
    Trade,
    TradesMissing,
)
from exchange_client.feed_state import FeedState
from exchange_client.inbox import Inbox


class Feed:
    """A state with a scripted gateway at its other end."""

    def __init__(self, channels: Channels, key: str | None = None, log: str = "L") -> None:
        self.state = FeedState(channels, key, Inbox())
        self.now = 0.0
        self.connect(log)

    def connect(self, log: str = "L") -> list[dict[str, Any]]:
        """Greet; the subscriptions that the client sends, each of them accepted."""
        self.say("hello", log=log)
        sent = self.accept(self.read())
        return self.accept(self.read()) if sent[0]["op"] == "login" else sent

    def accept(self, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for request in sent:
            self.say("response", id=request["id"], status=200)
        return sent

    def read(self) -> list[dict[str, Any]]:
        found = [json.loads(text) for text in self.state.outgoing]
        self.state.outgoing.clear()
        return found

    def say(self, kind: str, **fields: Any) -> None:
        self.state.received(json.dumps({"type": kind} | fields), self.now)

    def trade(self, *sequences: int) -> None:
        for sequence in sequences:
            more = {"trade_id": "t", "time": 1, "price": 5, "quantity": 1, "aggressor_side": "bid"}
            self.say("trade", symbol="PETR4", sequence=sequence, index=0, **more)

    def own(self, sequence: int, kind: str = "order") -> None:
        self.say(kind, partition=1, sequence=sequence)

    def events(self) -> list[Event]:
        found = []
        while (event := self.state.inbox.take()) is not None:
            found.append(event)
        return found

    def sequences(self) -> list[int]:
        return [e.sequence for e in self.events() if isinstance(e, Trade | OwnEvent)]


def trade(sequence: int) -> Trade:
    return Trade("PETR4", sequence, "t", 1, 5, 1, "bid")


TRADES = Channels(trades=["PETR4"], after={"PETR4": 7})


def test_trades_continue_behind_the_last_one_after_a_loss() -> None:
    feed = Feed(TRADES)
    feed.trade(8, 9, 9, 8)
    feed.state.lost("reset")
    assert feed.connect()[0]["after"] == {"PETR4": 9}
    feed.trade(9, 10)
    assert feed.sequences() == [8, 9, 10]


def test_missing_trades_are_fetched_and_come_in_order() -> None:
    feed = Feed(TRADES)
    feed.trade(8, 11, 12)
    assert list(feed.state.fetches) == [("PETR4", 8)]
    feed.state.fetches.clear()
    feed.state.fetched_trades("PETR4", [trade(9), trade(10)])
    # A later page is asked for until the newest known trade is there.
    assert list(feed.state.fetches) == [("PETR4", 10)]
    feed.state.fetched_trades("PETR4", [trade(n) for n in (11, 12, 13)])
    feed.trade(13, 14)
    events = feed.events()
    assert [e.sequence for e in events if isinstance(e, Trade)] == [8, 9, 10, 11, 12, 13, 14]
    assert [e for e in events if isinstance(e, TradesMissing)] == [TradesMissing("PETR4", 8)]


def test_gap_of_the_exchange_is_fetched() -> None:
    feed = Feed(TRADES)
    feed.say("gap", channel="trades", symbol="PETR4", first=8, last=40, reason="too_old")
    feed.trade(41)
    assert list(feed.state.fetches) == [("PETR4", 7)]
    feed.state.fetched_trades("PETR4", [trade(n) for n in range(8, 42)])
    assert feed.sequences() == list(range(8, 42))


@pytest.mark.parametrize("key", ["mx_key", None])
def test_feed_from_now_on_misses_no_first_trade_over_a_loss(key: str | None) -> None:
    feed = Feed(Channels(trades=["PETR4"]), key=key)
    assert list(feed.state.fetches) == [(None, 0)]
    feed.state.fetched_newest({"PETR4": 20, "VALE3": 3})
    feed.state.lost("reset")
    assert feed.connect()[0]["after"] == {"PETR4": 20}
    feed.trade(21)
    assert feed.sequences() == [21]


def test_feed_with_a_place_to_resume_needs_no_newest_trade() -> None:
    assert not Feed(TRADES, key="mx_key").state.fetches


def test_feed_from_now_on_begins_with_the_first_trade_that_comes() -> None:
    feed = Feed(Channels(trades="*"), key="mx_key")
    feed.state.fetched_newest({"PETR4": 20})
    # It was under way when the newest one was asked for.
    feed.trade(19, 20, 21)
    assert feed.sequences() == [19, 20, 21]
    feed.say("trade", symbol="NEW3", sequence=2)
    assert feed.state.fetches.pop() == ("NEW3", 0)


def test_new_log_resets_every_sequence() -> None:
    feed = Feed(TRADES)
    feed.trade(8)
    feed.state.lost("reset")
    assert feed.connect("another")[0]["after"] == {"PETR4": 0}
    feed.trade(1)
    assert feed.events() == [
        Connected("L", False),
        trade(8),
        Disconnected("reset"),
        Connected("another", True),
        trade(1),
    ]


def test_refused_subscription_ends_the_feed_at_first_and_is_repeated_later() -> None:
    feed = Feed(TRADES)
    refusal = {"status": 422, "problem": {"code": "invalid"}}
    feed.state.lost("reset")
    feed.say("hello", log="L")
    feed.say("response", id=feed.read()[0]["id"], **refusal)
    assert feed.state.error is None
    assert feed.state.must_reconnect
    fresh = FeedState(TRADES, None, Inbox())
    fresh.received('{"type":"hello","log":"L"}', 0.0)
    fresh.received(json.dumps({"type": "response", "id": 1} | refusal), 0.0)
    assert isinstance(fresh.error, RefusedError)


def test_only_the_unknown_book_is_requested_again() -> None:
    feed = Feed(Channels(books=["PETR4", "VALE3"]))
    empty = {"bids": [], "asks": [], "time": 1, "checksum": 2343686810}
    for symbol in ("PETR4", "VALE3"):
        feed.say("book_snapshot", symbol=symbol, sequence=5, **empty)
    feed.say("book_update", symbol="PETR4", previous=6, sequence=7, time=1, checksum=0)
    assert [each.get("symbols") for each in feed.read()] == [["PETR4"]]
    feed.now = 0.9
    feed.say("heartbeat")
    assert feed.read() == []
    feed.now = 1.1
    feed.say("heartbeat")
    assert [(each["op"], each["symbols"]) for each in feed.read()] == [("resync", ["PETR4"])]
    feed.say("book_snapshot", symbol="PETR4", sequence=8, **empty)
    feed.now = 100.0
    feed.say("heartbeat")
    assert feed.read() == []
    names = [(type(event).__name__, getattr(event, "symbol", "")) for event in feed.events()]
    assert names == [
        ("Connected", ""),
        ("Book", "PETR4"),
        ("Book", "VALE3"),
        ("BookUnknown", "PETR4"),
    ]


def test_own_events_begin_with_all_open_orders_and_resume() -> None:
    feed = Feed(Channels(own_events=True))
    for part in (1, 2):
        orders = [{"order_id": str(part)}]
        feed.say("orders_snapshot", part=part, parts=2, sequences={"1": 4}, orders=orders)
    feed.own(4)
    feed.own(5)
    feed.own(6, "order_refused")
    feed.state.lost("reset")
    assert feed.connect()[0]["after"] == {"1": 6}
    feed.own(6)
    feed.own(7)
    events = feed.events()
    opened = next(each for each in events if isinstance(each, OwnOrders))
    assert [each["order_id"] for each in opened.orders] == ["1", "2"]
    found = [(each.kind, each.sequence) for each in events if isinstance(each, OwnEvent)]
    assert found == [("order", 5), ("order_refused", 6), ("order", 7)]


def test_missing_own_event_is_requested_by_subscribing_again() -> None:
    feed = Feed(Channels(own_events=True, own_after={"1": 4}))
    feed.own(6)
    feed.own(7)
    leave, enter = feed.read()
    assert (leave["op"], enter["op"], enter["after"]) == ("unsubscribe", "subscribe", {"1": 4})
    feed.say("response", id=enter["id"], status=200, resumed=True)
    for sequence in (5, 6, 7):
        feed.own(sequence)
    assert feed.sequences() == [5, 6, 7]


def test_slow_program_gets_the_newest_ticker_and_every_closed_candle() -> None:
    feed = Feed(Channels(tickers="*", candles=["PETR4"]))
    feed.events()
    for last in (1, 2):
        feed.say("tickers", tickers=[{"type": "ticker", "symbol": "PETR4", "last": last}])
    for start, closed in ((0, False), (0, True), (1, True), (2, False)):
        feed.say("candle", symbol="PETR4", interval="1m", start=start, closed=closed)
    ticker, *candles = feed.events()
    assert isinstance(ticker, Ticker)
    assert ticker.fields["last"] == 2
    found = [(e.fields["start"], e.closed) for e in candles if isinstance(e, Candle)]
    assert found == [(2, False), (0, True), (1, True)]


def test_book_of_a_lost_connection_is_not_yielded() -> None:
    feed = Feed(Channels(books=["PETR4"]))
    empty = {"bids": [], "asks": [], "time": 1, "checksum": 2343686810}
    feed.say("book_snapshot", symbol="PETR4", sequence=5, **empty)
    feed.state.lost("reset")
    assert [type(event) for event in feed.events()] == [Connected, Disconnected]
