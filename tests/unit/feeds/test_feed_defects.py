"""Seeded defects of the feeds and of the client package are found by the tests of the feeds."""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from msgspec import Struct

from exchange_client.book_state import BookState
from exchange_client.sequences import TradeSequence
from services.feeds import candle_changes, hub, messages, own_feed
from services.feeds import market as feed_market
from services.feeds.client import FeedClient, Subject
from services.reader.own_events import NumberedEvent, OwnEvents
from tests.support.patching import Replacement, patched
from tests.unit.exchange_client import test_feed_against_hub as over_a_network
from tests.unit.feeds import test_hub as of_the_hub
from tests.unit.feeds import test_own_feed as of_own_events
from tests.unit.feeds import test_paced as of_paces

Check = Callable[[], None]

whole_books = partial(of_the_hub.test_books_of_clients_equal_the_views_for_any_cut_into_flushes, 1)
numbered_events = partial(
    of_own_events.test_own_events_equal_the_outcomes_and_are_numbered_without_a_gap, 1
)
daily_candles = partial(
    of_paces.test_candles_equal_the_fold_of_all_trades_for_any_cut_into_flushes,
    1,
    "1d",
    of_paces.HOUR_MS,
)
network = partial(over_a_network.test_feed_over_a_bad_network_equals_the_market, 1)


def resuming() -> None:
    with pytest.MonkeyPatch.context() as patch:
        of_own_events.test_client_that_resumes_anywhere_gets_exactly_what_it_missed(1, patch)


class Defect(Struct, frozen=True):
    """A wrong function in place of a right one, and the test that must fail."""

    replaced: Replacement
    found_by: Check


def without_each_third(send: Callable[..., None]) -> Callable[..., None]:
    count = itertools.count(1)

    def some(client: FeedClient, subject: Subject, frame: bytes) -> None:
        if subject.channel != "book" or next(count) % 3:
            send(client, subject, frame)

    return some


def twice(message_of: Callable[[NumberedEvent], bytes]) -> Callable[[NumberedEvent], bytes]:
    return lambda numbered: 2 * message_of(numbered)


def from_before(snapshot_of: Callable[..., bytes]) -> Callable[..., bytes]:
    first: dict[str, bytes] = {}
    return lambda symbol, *rest: first.setdefault(symbol, snapshot_of(symbol, *rest))


def at_local_midnight(start_of: Callable[[int, int], int]) -> Callable[[int, int], int]:
    hours = 3 * of_paces.HOUR_MS
    return lambda time, of: start_of(time - hours, of) + hours if of > hours else start_of(time, of)


def without_the_newest(
    since: Callable[..., list[NumberedEvent] | None],
) -> Callable[..., list[NumberedEvent] | None]:
    def some(events: OwnEvents, *rest: Any) -> list[NumberedEvent] | None:
        found = since(events, *rest)
        return found and found[:-1]

    return some


def without_gaps_and_checksums(book: BookState, message: Mapping[str, Any]) -> bool:
    book._bids.change(message.get("bids", ()))
    book._asks.change(message.get("asks", ()))
    book.sequence = message["sequence"]
    return True


def replaced(owner: Any, name: str, change: Callable[[Any], Any]) -> Replacement:
    return owner, name, change(getattr(owner, name))


DEFECTS = {
    "dropped_delta": Defect(replaced(FeedClient, "conflate", without_each_third), whole_books),
    "level_that_is_gone_stays": Defect(
        (feed_market.MarketChanges, "_left", lambda *_: None), whole_books
    ),
    "snapshot_from_before_the_change": Defect(
        replaced(hub, "snapshot_of", from_before), whole_books
    ),
    "checksum_of_the_other_side_first": Defect(
        replaced(messages, "checksum", lambda right: lambda bids, asks: right(asks, bids)),
        whole_books,
    ),
    "trade_behind_its_book_change": Defect(
        (hub.FeedHub, "_send_trades", lambda *_: None),
        of_the_hub.test_trades_of_clients_equal_the_market_in_order,
    ),
    "ladder_that_stays": Defect(
        (hub, "touches_ladder", lambda *_: False),
        of_the_hub.test_ladder_after_each_flush_shows_the_best_levels,
    ),
    "doubled_event": Defect(replaced(own_feed, "message_of", twice), numbered_events),
    "resumed_without_the_newest_event": Defect(
        replaced(OwnEvents, "since", without_the_newest), resuming
    ),
    "day_that_begins_at_local_midnight": Defect(
        replaced(candle_changes, "start_of", at_local_midnight), daily_candles
    ),
    "client_that_ignores_gaps": Defect((BookState, "update", without_gaps_and_checksums), network),
    "client_that_takes_a_trade_twice": Defect(
        (TradeSequence, "receive", lambda *_: "new"), network
    ),
}


@pytest.mark.parametrize("check", {each.found_by: None for each in DEFECTS.values()})
def test_checks_hold_without_a_defect(check: Check) -> None:
    check()


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_seeded_defect_is_found(defect: Defect) -> None:
    with patched([defect.replaced]), pytest.raises((AssertionError, KeyError)):
        defect.found_by()
