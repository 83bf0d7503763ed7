"""A book's side: best price, queues and heap over orders that come and go."""

import random

from schemas.book import Level
from schemas.units import Side
from services.matcher.book import PRICES_SLACK, Book, BookSide, Order
from tests.support.orders import SYMBOL, order_id


def order(number: int, price: int, side: Side = "bid", quantity: int = 10) -> Order:
    return Order(order_id(number), "ann", SYMBOL, side, price, quantity, None, number, "", None)


def best_price(side: BookSide) -> int | None:
    return None if side.best is None else side.best.price


def test_best_level_follows_orders_that_come_and_go() -> None:
    for name in ("bid", "ask"):
        side, rng, present = BookSide(name), random.Random(7), dict[Order, int]()
        for number in range(5_000):
            if present and rng.random() < 0.5:
                gone = rng.choice(list(present))
                del present[gone]
                side.remove(gone)
            else:
                new = order(number, rng.randint(1, 40), name)
                present[new] = new.price
                side.add(new)
            prices = sorted(set(present.values()), reverse=name == "bid")
            assert best_price(side) == (prices[0] if prices else None)
            assert [level.price for level in side.levels()] == prices
            assert [level.price for level in side.levels(3)] == prices[:3]
            assert len(side) == len(prices)


def test_queue_of_a_level_keeps_time_priority_after_removals() -> None:
    side = BookSide("ask")
    orders = [order(number, 100, "ask") for number in range(50)]
    for each in orders:
        side.add(each)
    gone = {number for number in range(50) if number % 3}
    for number in sorted(gone, reverse=True):
        side.remove(orders[number])
    kept = [each for number, each in enumerate(orders) if number not in gone]
    assert list(side.orders()) == kept
    assert side.level(100) == Level(100, 10 * len(kept), len(kept))
    traded = []
    while side.best is not None:
        traded.append(side.best.oldest())
        side.take(side.best, traded[-1], 10)
    assert traded == kept


def test_queue_holds_few_closed_orders() -> None:
    side = BookSide("bid")
    orders = [order(number, 100) for number in range(1_000)]
    for each in orders:
        side.add(each)
    random.Random(3).shuffle(orders)
    for each in orders[1:]:
        side.remove(each)
        assert side.best is not None
        closed = len(side.best.queue) - side.best.count
        assert closed <= side.best.count / 4 + 1
    assert side.best is not None
    assert side.best.oldest() is orders[0]


def test_oldest_order_partly_filled_keeps_its_place() -> None:
    side = BookSide("bid")
    first, second = order(1, 100), order(2, 100)
    side.add(first)
    side.add(second)
    assert side.best is not None
    side.take(side.best, first, 4)
    assert side.best.oldest() is first
    assert side.level(100) == Level(100, 16, 2)


def test_prices_of_emptied_levels_are_dropped_from_the_heap() -> None:
    side = BookSide("ask")
    side.add(order(0, 1, "ask"))
    for number in range(1, 20 * PRICES_SLACK):
        far = order(number, 1_000 + number, "ask")
        side.add(far)
        side.remove(far)
    assert len(side._keys) <= 2 * len(side) + PRICES_SLACK + 1
    side.add(order(5_000, 900, "ask"))
    assert [level.price for level in side.levels()] == [1, 900]


def test_changed_levels_are_distinct_and_best_first_with_zeros_for_emptied_ones() -> None:
    book = Book(SYMBOL)
    for number, price in enumerate((7, 9, 8)):
        book.changed.append(book.bids.add(order(number, price)))
    gone = order(3, 11, "ask")
    book.changed += [book.asks.add(gone), book.asks.add(order(4, 12, "ask"))]
    book.changed.append(book.asks.remove(gone))
    bids, asks = book.changed_levels()
    assert [level.price for level in bids] == [9, 8, 7]
    assert asks == (Level(11, 0, 0), Level(12, 10, 1))
