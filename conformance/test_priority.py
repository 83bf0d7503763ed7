"""Price and time priority"""

from conformance.trader import Market


def test_asks_trade_cheapest_first_in_any_order_of_arrival(market: Market) -> None:
    """A buyer gets the cheapest offer, however late it came."""
    symbol, (early, late, buyer) = market.symbol(), market.traders(3)
    dear = early.sell(symbol, 10, 1_002)
    cheap = late.sell(symbol, 10, 1_000)
    bid = buyer.buy(symbol, 10, 1_002)
    buyer.expect_fills(bid, (10, 1_000))
    late.expect_closed(cheap, "filled", 10)
    early.expect_open(dear, 10)


def test_bids_trade_highest_first_in_any_order_of_arrival(market: Market) -> None:
    """A seller gets the highest bid, however late it came."""
    symbol, (early, late, seller) = market.symbol(), market.traders(3)
    low = early.buy(symbol, 10, 1_000)
    high = late.buy(symbol, 10, 1_002)
    ask = seller.sell(symbol, 10, 1_000)
    seller.expect_fills(ask, (10, 1_002))
    late.expect_closed(high, "filled", 10)
    early.expect_open(low, 10)


def test_orders_at_one_price_trade_oldest_first(market: Market) -> None:
    """At one price, the oldest order trades first."""
    for side in ("ask", "bid"):
        symbol, (*resting, taker) = market.symbol(), market.traders(4)
        place = [each.sell if side == "ask" else each.buy for each in resting]
        orders = [put(symbol, 10, 500) for put in place]
        (taker.buy if side == "ask" else taker.sell)(symbol, 15, 500)
        resting[0].expect_closed(orders[0], "filled", 10)
        resting[1].expect_open(orders[1], 5)
        resting[2].expect_open(orders[2], 10)


def test_order_taken_in_part_keeps_its_place(market: Market) -> None:
    """An order that traded in part is still before those that came after it."""
    symbol, (first, second, buyer) = market.symbol(), market.traders(3)
    older = first.sell(symbol, 10, 500)
    newer = second.sell(symbol, 10, 500)
    buyer.buy(symbol, 4, 500)
    buyer.buy(symbol, 4, 500)
    first.expect_open(older, 2)
    second.expect_open(newer, 10)
    buyer.buy(symbol, 4, 500)
    first.expect_closed(older, "filled", 10)
    second.expect_open(newer, 8)


def test_order_behind_a_cancelled_one_moves_up(market: Market) -> None:
    """After the first order in a queue is cancelled, the next one is first."""
    symbol, (first, second, third, buyer) = market.symbol(), market.traders(4)
    gone = first.sell(symbol, 10, 500)
    next_one = second.sell(symbol, 10, 500)
    last = third.sell(symbol, 10, 500)
    first.cancel(gone)
    buyer.buy(symbol, 10, 500)
    second.expect_closed(next_one, "filled", 10)
    third.expect_open(last, 10)
    first.expect_closed(gone, "cancelled", 0)
