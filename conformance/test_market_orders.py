"""Market orders"""

from conformance.trader import Market


def test_market_order_takes_the_best_prices(market: Market) -> None:
    """A market order trades at the best prices, at once, level after level."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    for price in (1_001, 1_000, 5_000):
        seller.sell(symbol, 10, price)
    order = buyer.buy(symbol, 25)
    buyer.expect_closed(order, "filled", 25)
    buyer.expect_fills(order, (10, 1_000), (10, 1_001), (5, 5_000))
    buyer.expect_asks(symbol, (5_000, 5, 1))


def test_market_sale_takes_the_best_bids(market: Market) -> None:
    """A market order to sell takes the highest bids first."""
    symbol, (buyer, seller) = market.symbol(), market.traders(2)
    for price in (900, 1_000):
        buyer.buy(symbol, 10, price)
    order = seller.sell(symbol, 15)
    seller.expect_fills(order, (10, 1_000), (5, 900))
    seller.expect_bids(symbol, (900, 5, 1))


def test_market_order_larger_than_the_book_has_its_rest_cancelled(market: Market) -> None:
    """The unfilled rest of a market order is cancelled; it never rests in the book."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    seller.sell(symbol, 40, 1_000)
    order = buyer.buy(symbol, 100)
    buyer.expect_closed(order, "no_liquidity", 40)
    buyer.expect_order(order, "60 shares not traded", remaining_quantity=60, average_price=1_000)
    late = seller.sell(symbol, 10, 1_000)
    seller.expect_open(late, 10)
    buyer.expect_bids(symbol)


def test_market_order_in_an_empty_book_is_cancelled(market: Market) -> None:
    """A market order in an empty book is cancelled as a whole."""
    symbol, trader = market.symbol(), market.trader()
    order = trader.sell(symbol, 100)
    trader.expect_closed(order, "no_liquidity", 0)
    trader.expect_order(order, "no trade at all", trades=[], average_price=None, price=None)
    trader.expect_asks(symbol)
