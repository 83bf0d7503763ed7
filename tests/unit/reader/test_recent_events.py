"""Own events from before the start of the views equal those of views that applied all commands."""

from typing import Any

import pytest
from msgspec import structs

from schemas.orders import OrderRecord
from schemas.outcome_steps import steps_of
from schemas.own_events import own_events_of
from services.feeds.own_feed import message_of
from services.reader.own_events import OwnEvents
from services.reader.recent_events import RecentOutcomes, restored
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from tests.support.feed_market import FeedMarket
from tests.support.reader_outcomes import ALICE, BOB, CAROL

BROKERS = (ALICE, BOB, CAROL)
COMMANDS = 300


def started(market: FeedMarket) -> tuple[Views, dict[str, OrderRecord]]:
    """Views as PostgreSQL gives them: numbers and open orders. And the closed orders."""
    whole, views = market.views, Views()
    for (broker_id, partition), number in whole.own_events.all_numbers().items():
        views.own_events.restore(broker_id, partition, number)
    closed = {}
    for order_id, each in whole._orders._records.items():
        record = structs.replace(each, trades=[])
        if record.closed_reason is None:
            views.restore_symbol(record.symbol, 0, 0)
            views.restore_order(record)
        else:
            closed[order_id] = record
    return views, closed


def frames(events: OwnEvents) -> list[bytes]:
    found = [
        each for broker in BROKERS for each in events.since(broker, behind(events, broker)) or []
    ]
    return [message_of(each) for each in sorted(found, key=lambda each: each.command)]


def behind(events: OwnEvents, broker: str) -> dict[int, int]:
    """The number before the first event of the broker that is kept."""
    kept = events._brokers[broker].newest
    return {0: kept[0].sequence - 1} if kept else dict(events.numbers(broker))


@pytest.mark.parametrize("first", [0, 1, 100, 250, COMMANDS])
@pytest.mark.parametrize("seed", range(3))
def test_events_before_the_start_equal_those_of_all_commands(seed: int, first: int) -> None:
    market = FeedMarket(seed=seed, brokers=BROKERS, amended=0.0)
    market.icebergs, market.preventions = 0.3, 0.5
    market.trade(COMMANDS)
    assert any(b'"prevented"' in frame for frame in frames(market.views.own_events))
    views, closed = started(market)
    recent = [RecentOutcomes(0, first, market.outcomes[first:])]
    events = restored(views, recent, closed)
    expected = [
        frame
        for frame, command in zip(frames(market.views.own_events), commands_of(market), strict=True)
        if command >= first
    ]
    assert frames(events) == expected
    assert events.all_numbers() == market.views.own_events.all_numbers()


def commands_of(market: FeedMarket) -> list[int]:
    return [
        command
        for command, outcome in enumerate(market.outcomes)
        for _ in own_events_of(outcome, steps_of(outcome))
    ]


def test_events_before_and_behind_the_start_are_numbered_in_one_row() -> None:
    market = FeedMarket(brokers=BROKERS, amended=0.0)
    market.trade(100)
    views, closed = started(market)
    views.own_events = restored(views, [RecentOutcomes(0, 50, market.outcomes[50:])], closed)
    market.trade(50)
    views._clocks[0] = 0
    views.apply(Batch(0, 100, tuple(market.outcomes[100:])))
    for broker in BROKERS:
        last: dict[int, Any] = {0: views.own_events._brokers[broker].newest[0].sequence - 1}
        kept = views.own_events.since(broker, last)
        whole = market.views.own_events.since(broker, last)
        assert kept is not None
        assert whole is not None
        assert list(map(message_of, kept)) == list(map(message_of, whole))


@pytest.mark.parametrize("first", [0, 150])
@pytest.mark.parametrize("seed", range(3))
def test_amended_order_is_computed_only_where_its_first_values_are_known(
    seed: int, first: int
) -> None:
    market = FeedMarket(seed=seed, brokers=BROKERS)
    market.trade(COMMANDS)
    views, closed = started(market)
    found = frames(restored(views, [RecentOutcomes(0, first, market.outcomes[first:])], closed))
    whole = frames(market.views.own_events)
    assert found == whole[len(whole) - len(found) :]
    assert (len(found) == len(whole)) is (first == 0)
