"""Validity of orders"""

from conformance.trader import Market, in_seconds

# Long enough for a busy exchange to take the order, and another one after it, before the end.
VALID_S = 3.0


def test_order_past_its_time_leaves_the_market(market: Market) -> None:
    """An order whose time is over expires by itself, in the quietest market."""
    symbol, trader = market.symbol(), market.trader()
    order = trader.buy(symbol, 10, 100, valid_until=in_seconds(VALID_S))
    trader.expect_closed(order, "expired", 0)
    trader.expect_bids(symbol)


def test_expired_order_does_not_trade(market: Market) -> None:
    """An order whose time is over does not trade; the next in the queue does."""
    symbol, (early, second, buyer) = market.symbol(), market.traders(3)
    brief = early.sell(symbol, 10, 100, valid_until=in_seconds(VALID_S))
    lasting = second.sell(symbol, 10, 100, valid_until=in_seconds(3_600))
    early.expect_closed(brief, "expired", 0)
    bid = buyer.buy(symbol, 20, 100)
    buyer.expect_fills(bid, (10, 100))
    second.expect_closed(lasting, "filled", 10)
    buyer.expect_open(bid, 10)


def test_order_filled_in_part_expires_with_the_rest(market: Market) -> None:
    """Shares traded before the end stay traded; only the rest expires."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 10, 100, valid_until=in_seconds(2 * VALID_S))
    buyer.buy(symbol, 4, 100)
    seller.expect_closed(ask, "expired", 4)
    seller.expect_balance(400, {symbol: -4})
    buyer.expect_asks(symbol)


def test_order_within_its_time_trades(market: Market) -> None:
    """An order trades like any other until its time is over."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 10, 100, valid_until=in_seconds(3_600))
    buyer.expect_asks(symbol, (100, 10, 1))
    buyer.buy(symbol, 10, 100)
    seller.expect_closed(ask, "filled", 10)
