"""Clients of the hub that do not read fast enough: what they get later, and when they are cut."""

import time

import pytest

from services.feeds import hub as hubs
from services.feeds.client import BACKLOG_BYTES_MAX, BEHIND_S_MAX
from tests.support.feed_market import FeedMarket
from tests.unit.feeds.test_hub import books_of, require_equal_books, subscribed


def test_client_that_does_not_read_gets_whole_books_later_and_every_trade() -> None:
    market = FeedMarket()
    client, output = subscribed(market, "book", "trades")
    market.trade(10)
    market.flush()
    client.fall_behind(0.0)
    writes = output.writes
    for _ in range(10):
        market.trade(5)
        # The hub's clock is the machine's; a client that fell behind at 0 would be cut by it.
        client._behind_since_s = time.monotonic()
        market.flush()
    assert output.writes == writes
    client.catch_up()
    market.flush()
    require_equal_books(market, output)
    assert len(output.of_type("trade")) == len(market.trades)
    assert "conflated" in {r for book in books_of(market, output).values() for r in book.snapshots}


def test_changes_that_no_client_takes_are_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    market = FeedMarket()
    client, output = subscribed(market, "book", "ladder")
    market.trade(10)
    market.flush()
    client.fall_behind(time.monotonic())
    with monkeypatch.context() as patch:
        patch.setattr(hubs, "delta_of", None)
        patch.setattr(hubs, "ladder_of", None)
        for _ in range(5):
            market.trade(5)
            market.flush()
    client.catch_up()
    market.flush()
    require_equal_books(market, output)
    for symbol in market.symbols:
        newest = [each for each in output.of_type("ladder") if each["symbol"] == symbol][-1]
        assert newest["sequence"] == market.views.book_view(symbol).sequence


def test_client_that_does_not_read_costs_others_no_change() -> None:
    market = FeedMarket()
    slow, output = subscribed(market, "book")[0], subscribed(market, "book")[1]
    market.flush()
    slow.fall_behind(time.monotonic())
    for _ in range(5):
        market.trade(5)
        market.flush()
    require_equal_books(market, output)
    assert {r for book in books_of(market, output).values() for r in book.snapshots} == {
        "subscribed"
    }


def test_client_behind_for_too_long_is_cut() -> None:
    market = FeedMarket()
    client, output = subscribed(market, "book")
    client.fall_behind(time.monotonic() - BEHIND_S_MAX - 1)
    market.flush()
    assert output.cuts == [(hubs.SLOW_CONSUMER, "slow_consumer")]
    assert len(market.hub) == 0
    assert not market.hub.changes.books


def test_client_with_too_large_a_backlog_is_cut() -> None:
    market = FeedMarket()
    client, output = subscribed(market, "trades")
    client.fall_behind(time.monotonic())
    client.send(b"x" * (BACKLOG_BYTES_MAX + 1))
    market.flush()
    assert output.cuts == [(hubs.SLOW_CONSUMER, "slow_consumer")]


def test_clients_that_wait_for_too_much_together_are_cut_until_it_fits() -> None:
    market = FeedMarket()
    outputs = []
    for share in (0.2, 0.7, 0.3):
        client, output = subscribed(market, "trades")
        client.fall_behind(time.monotonic())
        output.held = int(share * hubs.WAITING_BYTES_MAX)
        outputs.append(output)
    market.flush()
    assert [bool(output.cuts) for output in outputs] == [False, True, False]


def test_client_that_falls_behind_while_it_closes_is_forgotten() -> None:
    market = FeedMarket()
    client, output = subscribed(market, "book")
    market.hub.remove(client)
    client.fall_behind(time.monotonic() - BEHIND_S_MAX - 1)
    market.flush()
    assert not market.hub._behind
    assert output.cuts == []
