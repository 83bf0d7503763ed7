"""Clients of sessions and feeds miss and double nothing when their gateway is killed."""

from collections.abc import Mapping
from typing import Any

import pytest

from exchange_client.feed_state import FeedState
from exchange_client.sequences import TradeSequence
from tests.chaos import session_traders
from tests.chaos.killed_gateway import run
from tests.support.exchange import Exchange
from tests.support.patching import patched


def test_killed_gateway_costs_no_client_an_event_and_doubles_none(exchange: Exchange) -> None:
    traders = run(exchange, seconds=12, every_s=5, orders_per_s=60)
    assert traders.findings == []
    for each in traders.figures:
        assert min(each.losses, each.trades, each.own_events, each.books) > 0, each.line()
        assert each.answers["place done 201"] > each.orders // 2, each.line()


def test_client_that_loses_or_doubles_is_found(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_traders, "SETTLED_S_MAX", 2.0)
    receive, numbers = FeedState._receive_own, iter(range(1_000_000))

    def with_holes(feed: FeedState, message: Mapping[str, Any]) -> None:
        if next(numbers) != 50:
            receive(feed, dict(message))
        else:
            feed._own.receive(message["partition"], message["sequence"])

    defects = [
        (TradeSequence, "receive", lambda *_: "new"),
        (FeedState, "_receive_own", with_holes),
    ]
    with patched(defects):
        findings = run(exchange, seconds=6, every_s=4, orders_per_s=60).findings
    assert [each for each in findings if "trades" in each and "doubled [" in each]
    assert [each for each in findings if "own events" in each and "doubled []" in each]
