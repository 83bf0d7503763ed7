"""The raw pace: each command's changes at once, one message for each."""

import pytest

from schemas.units import Side
from services.feeds import raw_feed
from services.feeds.client import Subject
from services.feeds.stored_trades import Stored
from tests.support.feed_market import ClientBook, FeedMarket
from tests.support.feed_session import KEY, ConnectedClient


@pytest.mark.parametrize("seed", range(5))
def test_each_command_that_changes_a_book_is_a_message_of_its_own(seed: int) -> None:
    market = FeedMarket(symbols=1, seed=seed, mass_cancels=0.04)
    client, output = market.client()
    plain, flushed = market.client()
    market.trade(20)
    market.hub.subscribe(client, Subject("book", "S0", raw=True))
    market.hub.subscribe(plain, Subject("book", "S0"))
    market.flush()
    (snapshot,) = output.of_type("book_snapshot")
    for _ in range(20):
        market.trade(7)
    updates = output.of_type("book_update")
    newest = market.views.book_sequence("S0")
    sequences = [each["sequence"] for each in updates]
    assert sequences == list(range(snapshot["sequence"] + 1, newest + 1))
    assert all(each["previous"] == each["sequence"] - 1 for each in updates)
    book = ClientBook()
    for message in (snapshot, *updates):
        book.apply(message)
    sides: tuple[Side, Side] = ("bid", "ask")
    for side in sides:
        assert book.levels(side) == list(market.views.book_view("S0").levels(side))
    # A flush sends nothing twice, and other clients what it always did.
    market.flush()
    assert output.of_type("book_snapshot", "book_update") == [snapshot, *updates]
    (update,) = flushed.of_type("book_update")
    assert (update["previous"], update["sequence"]) == (snapshot["sequence"], newest)


def test_changes_of_a_list_are_written_together_without_a_flush() -> None:
    market = FeedMarket(symbols=1)
    client, output = market.client()
    market.hub.subscribe(client, Subject("trades", "S0", raw=True))
    market.hub.subscribe(client, Subject("book", "S0", raw=True))
    market.flush()
    writes = output.writes
    market.trade(40)
    assert output.writes == writes + 1
    assert output.of_type("trade") == market.trades
    assert len(market.trades) > 3
    # A trade precedes the change of the book by the same command.
    seen = 0
    for message in output.of_type("trade", "book_update"):
        if message["type"] == "trade":
            seen = message["time"]
        assert message["time"] >= seen


def test_trades_before_the_subscription_come_first_also_those_not_flushed() -> None:
    market = FeedMarket(symbols=1)
    market.trade(30)
    market.flush()
    market.trade(30)
    client, output = market.client()
    subject = Subject("trades", "S0", raw=True)
    market.hub.subscribe(client, subject)
    assert market.hub.trades.newest(subject) == len(market.trades)
    market.hub.trades.replay(client, [subject], {"S0": 0}, 0, Stored())
    client.write_out()
    market.trade(30)
    market.flush()
    assert output.of_type("trade") == market.trades


def test_client_that_does_not_read_gets_one_snapshot_later() -> None:
    market = FeedMarket(symbols=1)
    client, output = market.client()
    market.hub.subscribe(client, Subject("book", "S0", raw=True))
    market.trade(10)
    market.flush()
    client.fall_behind(0.0)
    market.trade(30)
    client.catch_up()
    market.flush()
    snapshots = output.of_type("book_snapshot")
    assert [each["reason"] for each in snapshots] == ["subscribed", "conflated"]
    assert snapshots[-1]["sequence"] == market.views.book_sequence("S0")


def test_outcomes_come_singly_only_while_there_is_a_raw_subscription() -> None:
    market = FeedMarket(symbols=1)
    client, _ = market.client()
    subject = Subject("book", "S0", raw=True)
    assert not market.raw.is_watched()
    for wanted in (subject, Subject("trades", "S0", raw=True)):
        market.hub.subscribe(client, wanted)
        assert market.raw.is_watched()
        market.hub.unsubscribe(client, wanted)
        assert not market.raw.is_watched()


def test_raw_pace_needs_a_key_and_is_listed() -> None:
    connected = ConnectedClient()
    refused = connected.subscribe("book", ["S0"], interval="raw")
    assert (refused["status"], refused["problem"]["code"]) == (401, "unauthenticated")
    connected.ask(op="login", key=KEY)
    for channel in ("book", "trades"):
        assert connected.subscribe(channel, ["S0"], interval="raw")["status"] == 200
    found = connected.ask(op="list")["subscriptions"]
    assert [(each["channel"], each["interval"]) for each in found] == [
        ("book", "raw"),
        ("trades", "raw"),
    ]
    for channel in ("ladder", "ticker", "candles"):
        assert connected.subscribe(channel, ["S0"], interval="raw")["status"] == 422
    assert connected.subscribe("trades", "*", interval="raw")["status"] == 422
    end = connected.ask(op="unsubscribe", channel="book", symbols=["S0"], interval="raw")
    assert end["status"] == 200
    assert len(connected.ask(op="list")["subscriptions"]) == 1


def test_raw_subscriptions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = ConnectedClient()
    connected.ask(op="login", key=KEY)
    many = [f"S{number}" for number in range(raw_feed.RAW_SUBJECTS_MAX)]
    assert connected.subscribe("book", many, interval="raw")["status"] == 200
    assert connected.subscribe("trades", ["S0"], interval="raw")["status"] == 422
    assert connected.subscribe("book", many, interval="raw")["status"] == 200
    monkeypatch.setattr(raw_feed, "RAW_CLIENTS_MAX", 1)
    other, _ = connected.market.client()
    connected.market.hub.subscribe(other, Subject("book", "S0", raw=True))
    for symbol in many:
        connected.market.hub.unsubscribe(connected.client, Subject("book", symbol, raw=True))
    refused = connected.subscribe("book", ["S0"], interval="raw")
    assert (refused["status"], refused["problem"]["code"]) == (429, "rate_limited")
