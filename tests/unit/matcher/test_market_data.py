"""Public market data of a command: anonymous trades, changed price levels, periodic whole books."""

from schemas.book import BookUpdate, Level
from schemas.commands import Command
from schemas.executions import Expired, OrderAccepted, OrderCancelled, Outcome
from schemas.ids import trade_id
from schemas.trades import Trade
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.rules import Rules
from tests.support.scenario import SYMBOL, command_of

PARTITION = 2
NEVER_WHOLE = Rules(whole_book_levels_max=0)


class Exchange:
    """An engine fed with scenario text; each command is one offset and one millisecond later."""

    def __init__(self, rules: Rules = NEVER_WHOLE) -> None:
        self.engine = Engine(PARTITION, rules)
        self.at = EnginePosition(PARTITION, 99, 0)

    def play(self, *texts: str) -> Outcome:
        """Apply the commands and return the last outcome."""
        return [self.apply(command_of(text)) for text in texts][-1]

    def apply(self, command: Command | None) -> Outcome:
        self.at = EnginePosition(PARTITION, self.at.offset + 1, self.at.timestamp + 1)
        return self.engine.apply(command, self.at)

    def updates(self, *texts: str) -> list[BookUpdate]:
        """Apply the commands and return the book updates of the last one."""
        return book_updates(self.play(*texts), self.at, self.engine)


def test_trades_of_a_sweep_have_positions_and_no_brokers() -> None:
    exchange = Exchange()
    exchange.play("sell 1 @ 101 by ann as a1", "buy 1 @ 101 by bob as b1")
    exchange.play("sell 2 @ 101 by ann as a2", "sell 3 @ 102 by cat as c1")
    outcome = exchange.play("buy 4 @ 102 by bob as b2")
    assert trades_of(outcome, exchange.at) == [
        Trade(SYMBOL, 2, trade_id(5, PARTITION, 104, 0), 5, 101, 2, "bid", 104, 0),
        Trade(SYMBOL, 3, trade_id(5, PARTITION, 104, 1), 5, 102, 2, "bid", 104, 1),
    ]


def test_trades_of_a_command_that_did_not_trade_are_none() -> None:
    exchange = Exchange()
    for text in ("buy 1 @ 9 by ann as a1", "cancel a1 by ann", "tick", "garbage"):
        assert trades_of(exchange.play(text), exchange.at) == []


def test_trade_sequence_is_counted_per_symbol() -> None:
    exchange = Exchange()
    exchange.play("sell 2 @ 9 by ann as a1", "sell 2 @ 9 by ann as a2 in VALE3")
    first = exchange.play("buy 1 @ 9 by bob as b1")
    other = exchange.play("buy 1 @ 9 by bob as b2 in VALE3")
    second = exchange.play("buy 1 @ 9 by bob as b3")
    sequences = [trades_of(one, exchange.at)[0].sequence for one in (first, other, second)]
    assert sequences == [1, 1, 2]


def test_book_update_of_a_resting_order_has_its_level() -> None:
    exchange = Exchange()
    assert exchange.updates("buy 5 @ 100 by ann as a1") == [
        BookUpdate(SYMBOL, 1, 1, 100, 0, bids=(Level(100, 5, 1),))
    ]
    assert exchange.updates("buy 2 @ 100 by bob as b1") == [
        BookUpdate(SYMBOL, 2, 2, 101, 0, bids=(Level(100, 7, 2),))
    ]


def test_book_update_of_a_sweep_has_each_level_best_first() -> None:
    exchange = Exchange()
    exchange.play("sell 1 @ 103 by ann as a1", "sell 1 @ 101 by ann as a2")
    exchange.play("sell 1 @ 101 by ann as a3", "sell 5 @ 104 by ann as a4")
    (update,) = exchange.updates("buy 9 @ 103 by bob as b1")
    assert update.asks == (Level(101, 0, 0), Level(103, 0, 0))
    assert update.bids == (Level(103, 6, 1),)
    (update,) = exchange.updates("buy 1 @ 90 by bob as b2", "sell 8 by ann as a5")
    assert update.bids == (Level(103, 0, 0), Level(90, 0, 0))
    assert update.asks == ()


def test_book_update_of_a_command_that_changed_nothing_is_none() -> None:
    exchange = Exchange()
    exchange.play("buy 1 @ 9 by ann as a1 client x")
    for text in (
        "cancel zz by ann",
        "cancel a1 by bob",
        "buy 1 @ 9 by ann as a2 client x",
        "buy 2 @ 9 by ann as a2 client x",
        "buy 1 @ 9 by ann as a1",
        "buy 1 by ann as a2",
        "buy 1 @ 9 by ann as a2 until 1",
        "tick",
        "garbage",
    ):
        assert exchange.updates(text) == [], text
    assert exchange.engine.books[SYMBOL].sequence == 1


def test_book_updates_of_two_symbols_are_in_order_of_change() -> None:
    exchange = Exchange()
    exchange.play("buy 5 @ 100 by ann as a1 until 4 in VALE3", "buy 3 @ 90 by ann as a2 until 4")
    exchange.play("buy 2 @ 100 by ann as a3 in VALE3")
    outcome = exchange.play("sell 1 @ 95 by bob as b1 in ITUB4")
    assert book_updates(outcome, exchange.at, exchange.engine) == [
        BookUpdate("VALE3", 3, 4, 103, 0, bids=(Level(100, 2, 1),)),
        BookUpdate(SYMBOL, 2, 4, 103, 1, bids=(Level(90, 0, 0),)),
        BookUpdate("ITUB4", 1, 4, 103, 2, asks=(Level(95, 1, 1),)),
    ]


def test_book_sequence_rises_by_one_for_all_changes_of_a_command() -> None:
    exchange = Exchange()
    exchange.play("sell 5 @ 100 by ann as a1 until 4", "sell 6 @ 100 by ann as a2 until 4")
    exchange.play("sell 7 @ 101 by ann as a3")
    outcome = exchange.play("buy 9 @ 101 by bob as b1")
    assert [one.book_sequence for one in outcome.expired] == [4, 4]
    assert isinstance(outcome.event, OrderAccepted)
    assert outcome.event.book_sequence == 4
    cancelled = exchange.play("cancel b1 by bob").event
    assert isinstance(cancelled, OrderCancelled)
    assert cancelled.book_sequence == 5


def test_book_sequence_of_an_order_that_changes_nothing_is_the_current_one() -> None:
    exchange = Exchange()
    exchange.play("buy 1 @ 9 by ann as a1", "buy 1 @ 9 by ann as a2")
    for text in ("buy 1 by bob as b1", "buy 1 @ 9 by bob as b2 until 1"):
        event = exchange.play(text).event
        assert isinstance(event, OrderAccepted)
        assert event.book_sequence == 2
    unknown = exchange.play("buy 1 by bob as b3 in VALE3").event
    assert isinstance(unknown, OrderAccepted)
    assert unknown.book_sequence == 0


def test_expiry_and_order_expired_on_arrival_have_the_same_book_sequence() -> None:
    exchange = Exchange()
    outcome = exchange.play("buy 1 @ 9 by ann as a1 until 2", "buy 1 @ 9 by bob as b1 until 2")
    assert outcome.expired == (Expired("a1", "ann", SYMBOL, 1, 2),)
    assert isinstance(outcome.event, OrderAccepted)
    assert outcome.event.book_sequence == 2


def test_whole_book_at_first_and_every_nth_change_has_all_levels() -> None:
    exchange = Exchange(Rules(whole_book_every=3))
    texts = [f"buy 1 @ {price} by ann as {price}" for price in (5, 9, 7, 8)]
    texts += ["sell 1 @ 20 by ann as s", "sell 1 @ 9 by ann as t"]
    updates = [update for text in texts for update in exchange.updates(text)]
    assert [update.whole for update in updates] == [True, False, True, False, False, True]
    assert updates[0].bids == (Level(5, 1, 1),)
    assert updates[2].bids == (Level(9, 1, 1), Level(7, 1, 1), Level(5, 1, 1))
    assert updates[5].bids == (Level(8, 1, 1), Level(7, 1, 1), Level(5, 1, 1))
    assert updates[5].asks == (Level(20, 1, 1),)


def test_whole_book_of_too_many_levels_is_replaced_by_the_changed_levels() -> None:
    exchange = Exchange(Rules(whole_book_every=1, whole_book_levels_max=2))
    texts = ("buy 1 @ 5 by ann as a1", "sell 1 @ 9 by ann as a2", "sell 1 @ 8 by ann as a3")
    updates = [update for text in texts for update in exchange.updates(text)]
    assert [update.whole for update in updates] == [True, True, False]
    assert (updates[2].bids, updates[2].asks) == ((), (Level(8, 1, 1),))


def test_whole_book_of_an_emptied_book_has_no_levels() -> None:
    exchange = Exchange(Rules(whole_book_every=1))
    assert exchange.updates("buy 1 @ 5 by ann as a1", "cancel a1 by ann") == [
        BookUpdate(SYMBOL, 2, 2, 101, 0, whole=True)
    ]
