"""Book and price"""

from functools import partial

import pytest

from conformance.trader import Market, expect, expect_answer


def test_book_adds_up_orders_at_a_price_best_first(market: Market) -> None:
    """The book shows each price once, with all shares and orders there, best first."""
    symbol, (one, other) = market.symbol(), market.traders(2)
    for trader, price, quantity in ((one, 98, 5), (other, 99, 1), (other, 98, 7), (one, 97, 2)):
        trader.buy(symbol, quantity, price)
    for trader, price, quantity in ((one, 103, 5), (other, 101, 1), (other, 103, 7)):
        trader.sell(symbol, quantity, price)
    one.expect_bids(symbol, (99, 1, 1), (98, 12, 2), (97, 2, 1))
    one.expect_asks(symbol, (101, 1, 1), (103, 12, 2))


def test_book_with_a_depth_shows_that_number_of_levels(market: Market) -> None:
    """`depth` says how many prices of each side to show; ten when it is not given."""
    symbol, trader = market.symbol(), market.trader()
    for price in range(100, 112):
        trader.sell(symbol, 1, price)
    trader.expect_asks(symbol, *((price, 1, 1) for price in range(100, 110)))
    for depth in (1, 3, 12, 50):
        wanted = [(price, 1, 1) for price in range(100, min(112, 100 + depth))]
        look = partial(trader.levels, symbol, "asks", f"?depth={depth}")
        expect(f"{depth} levels", wanted, look)


def test_book_without_orders_is_empty(market: Market) -> None:
    """A symbol without orders has an empty book and no price."""
    symbol, trader = market.symbol(), market.trader()
    trader.expect_bids(symbol)
    trader.expect_asks(symbol)
    expect_answer("no price", trader.api.get(f"/stocks/{symbol}/price"), 404, "no_trades")


def test_price_is_that_of_the_last_trade_and_averages_the_newest_ones(market: Market) -> None:
    """The price is that of the last trade; the average counts the last trades asked for."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    for cents in (100, 200, 301):
        seller.sell(symbol, 1_000 - cents, cents)
        buyer.buy(symbol, 1_000 - cents, cents)

    def price(query: str) -> tuple[int, int, int]:
        quoted = buyer.api.get(f"/stocks/{symbol}/price{query}").body
        return (
            quoted.get("last_price"),
            quoted.get("average_price"),
            quoted.get("trades_in_average"),
        )

    expect("last price, average and trades in it", (301, 200, 3), lambda: price(""))
    # 250.5 is rounded to the nearest, halves up.
    expect("the average of two trades", (301, 251, 2), lambda: price("?trades=2"))
    expect("the average of one trade", (301, 301, 1), lambda: price("?trades=1"))
    expect("as many as there are", (301, 200, 3), lambda: price("?trades=1000"))


def test_price_is_unchanged_by_orders_that_do_not_trade(market: Market) -> None:
    """Orders that wait do not move the price."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    seller.sell(symbol, 1, 100)
    buyer.buy(symbol, 1, 100)
    buyer.buy(symbol, 1, 90)
    seller.sell(symbol, 1, 110)
    buyer.expect_bids(symbol, (90, 1, 1))
    quoted = expect_answer("a price", buyer.api.get(f"/stocks/{symbol}/price"), 200).body
    assert (quoted["last_price"], quoted["trades_in_average"]) == (100, 1)


@pytest.mark.parametrize(
    "path",
    ["book?depth=0", "book?depth=51", "book?depth=x", "price?trades=0", "price?trades=1001"],
)
def test_market_data_with_a_count_out_of_bounds_is_refused(market: Market, path: str) -> None:
    """Counts out of bounds are refused."""
    answer = market.trader().api.get(f"/stocks/{market.symbol()}/{path}")
    expect_answer(f"{path} to be refused", answer, 422, "invalid")
