"""Engine properties outside the scenario tables: next expiry, backlogs, digest, invariants."""

import tracemalloc

import pytest
from msgspec import structs

from schemas.book import Level
from schemas.executions import Ticked
from services.matcher.engine import Engine, EnginePosition
from services.matcher.open_orders import EXPIRY_SLACK, BrokenInvariantError
from services.matcher.rules import Rules
from tests.support.orders import SYMBOL, cancel, limit, market, order_id
from tests.support.scenario import command_of


def at(offset: int, timestamp: int = 0) -> EnginePosition:
    return EnginePosition(0, offset, timestamp)


def played(*texts: str, rules: Rules | None = None) -> Engine:
    engine = Engine(0, rules or Rules())
    for offset, text in enumerate(texts):
        engine.apply(command_of(text), at(offset, offset))
    return engine


def test_next_due_of_open_orders_is_the_earliest() -> None:
    engine = played("buy 1 @ 9 by ann as a1")
    assert engine.next_due() is None
    engine = played(
        "buy 1 @ 9 by ann as a1 until 70",
        "buy 1 @ 9 by ann as a2 until 50",
        "buy 1 @ 9 by ann as a3 until 60",
    )
    assert engine.next_due() == 50
    engine.apply(command_of("cancel a2 by ann"), at(3, 3))
    assert engine.next_due() == 60
    engine.apply(command_of("sell 2 @ 9 by bob as b1 until 40"), at(4, 4))
    assert engine.next_due() is None


def test_next_due_after_a_capped_backlog_is_still_in_the_past() -> None:
    texts = (f"buy 1 @ 9 by ann as a{number} until 5" for number in range(4))
    engine = played(*texts, rules=Rules(expiries_max=3))
    outcome = engine.apply(command_of("tick"), at(9, 9))
    assert len(outcome.expired) == 3
    assert engine.next_due() == 5
    outcome = engine.apply(command_of("tick"), at(10, 10))
    assert [one.order_id for one in outcome.expired] == ["a3"]
    assert engine.next_due() is None


def test_expiries_of_many_cancelled_orders_keep_those_still_open() -> None:
    engine = Engine(0)
    many = 2 * EXPIRY_SLACK
    for number in range(many):
        until = 1_000 + (number * 7) % 100
        engine.apply(limit(number, valid_until=until), at(number))
    kept = {number for number in range(many) if number % 100 == 0}
    for number in sorted(set(range(many)) - kept):
        engine.apply(cancel(number), at(many + number))
    assert engine.books[SYMBOL].level("bid", 1_000) == Level(1_000, 100 * len(kept), len(kept))
    outcome = engine.apply(None, at(3 * many, 2_000))
    due = sorted(kept, key=lambda number: (1_000 + (number * 7) % 100, number))
    assert [one.order_id for one in outcome.expired] == [order_id(number) for number in due]
    assert engine.next_due() is None


def test_expiries_of_a_long_backlog_are_applied_in_order_over_several_commands() -> None:
    engine = Engine(0, Rules(expiries_max=700))
    many = 3 * EXPIRY_SLACK
    for number in range(many):
        engine.apply(limit(number, valid_until=1_000 + (number * 7) % 100), at(number))
    gone: list[str] = []
    for extra in range(6):
        outcome = engine.apply(command_of("tick"), at(many + extra, 2_000))
        assert outcome.event == Ticked()
        gone += [one.order_id for one in outcome.expired]
    due = sorted(range(many), key=lambda number: (1_000 + (number * 7) % 100, number))
    assert gone == [order_id(number) for number in due]


def test_expiries_of_a_backlog_among_many_cancelled_orders_are_complete() -> None:
    engine = Engine(0)
    due, withdrawn = 600, 1_500
    for number in range(due):
        engine.apply(limit(number, valid_until=1_000), at(number))
    for number in range(due, due + withdrawn):
        engine.apply(limit(number, valid_until=5_000), at(number))
        engine.apply(cancel(number), at(due + withdrawn + number))
    engine.apply(limit(9_999, valid_until=5_000), at(9_998))
    outcome = engine.apply(command_of("tick"), at(9_999, 1_000))
    assert [one.order_id for one in outcome.expired] == [order_id(number) for number in range(due)]
    assert engine.next_due() == 5_000


def test_expiries_of_closed_orders_use_no_memory() -> None:
    engine = Engine(0)
    commands = 8 * EXPIRY_SLACK
    tracemalloc.start()
    try:
        for number in range(commands):
            engine.apply(limit(number, valid_until=10**12), at(2 * number))
            engine.apply(cancel(number), at(2 * number + 1))
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100 * commands


def test_level_of_a_price_without_orders_is_zero() -> None:
    engine = played("buy 3 @ 9 by ann as a1")
    book = engine.books[SYMBOL]
    assert book.level("bid", 9) == Level(9, 3, 1)
    assert book.level("bid", 8) == Level(8, 0, 0)
    assert book.level("ask", 9) == Level(9, 0, 0)


def test_levels_to_a_depth_are_the_best() -> None:
    engine = played(*(f"buy {price} @ {price} by ann as a{price}" for price in (3, 9, 7, 8)))
    book = engine.books[SYMBOL]
    assert [level.price for level in book.levels("bid", 2)] == [9, 8]
    assert [level.price for level in book.levels("bid")] == [9, 8, 7, 3]
    assert [order.order_id for order in book.orders("bid")] == ["a9", "a8", "a7", "a3"]
    assert book.levels("ask", 2) == []


STORY = ("buy 5 @ 9 by ann as a1 until 90 client x", "sell 2 @ 9 by bob as b1", "tick")


def test_digest_of_the_same_commands_is_the_same() -> None:
    assert played(*STORY).digest() == played(*STORY).digest()
    assert len(played(*STORY).digest()) == 32


@pytest.mark.parametrize(
    "other",
    [
        ("buy 5 @ 9 by ann as a1 until 90 client x", "sell 3 @ 9 by bob as b1", "tick"),
        ("buy 5 @ 9 by ann as a1 until 91 client x", "sell 2 @ 9 by bob as b1", "tick"),
        ("buy 5 @ 9 by ann as a1 until 90 client y", "sell 2 @ 9 by bob as b1", "tick"),
        ("buy 5 @ 9 by ann as a1 until 90 client x doc 2", "sell 2 @ 9 by bob as b1", "tick"),
        ("buy 5 @ 9 by cat as a1 until 90 client x", "sell 2 @ 9 by bob as b1", "tick"),
        ("buy 5 @ 9 by ann as a2 until 90 client x", "sell 2 @ 9 by bob as b1", "tick"),
        ("buy 5 @ 8 by ann as a1 until 90 client x", "sell 2 @ 8 by bob as b1", "tick"),
        ("buy 3 @ 9 by ann as a1 until 90 client x", "tick", "tick"),
        (*STORY, "tick"),
        STORY[:2],
    ],
)
def test_digest_of_other_commands_differs(other: tuple[str, ...]) -> None:
    assert played(*STORY).digest() != played(*other).digest()


def test_digest_of_another_partition_differs() -> None:
    assert Engine(0).digest() != Engine(1).digest()


def test_engine_given_a_limit_order_without_price_raises() -> None:
    with pytest.raises(BrokenInvariantError):
        Engine(0).apply(limit(price=None), at(0))


def test_engine_given_an_order_that_does_not_rest_creates_no_book() -> None:
    engine = Engine(0)
    engine.apply(market(1), at(0))
    assert engine.books == {}


def test_engine_given_a_market_order_never_rests_its_remainder() -> None:
    engine = played("sell 2 @ 9 by ann as a1", "buy 5 by bob as b1")
    assert list(engine.books[SYMBOL].orders("bid")) == []


def test_expired_order_is_reported_in_the_event_of_any_command() -> None:
    engine = played("buy 5 @ 9 by ann as a1 until 3", "sell 2 @ 9 by bob as b1")
    (expired,) = engine.apply(None, at(7, 3)).expired
    assert structs.astuple(expired) == ("a1", "ann", SYMBOL, 3, 3)
