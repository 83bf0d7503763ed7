"""Limit orders"""

import pytest

from conformance.trader import Market, expect_answer


def test_bid_over_a_resting_ask_trades_at_the_asks_price(market: Market) -> None:
    """A buyer who bids more than asked pays what was asked."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 100, 1_000)
    bid = buyer.buy(symbol, 100, 1_010)
    for trader, order in ((seller, ask), (buyer, bid)):
        trader.expect_closed(order, "filled", 100)
        trader.expect_fills(order, (100, 1_000))
    buyer.expect_asks(symbol)
    buyer.expect_bids(symbol)


def test_ask_under_a_resting_bid_trades_at_the_bids_price(market: Market) -> None:
    """A seller who asks less than was bid gets what was bid."""
    symbol, (buyer, seller) = market.symbol(), market.traders(2)
    bid = buyer.buy(symbol, 100, 1_000)
    ask = seller.sell(symbol, 100, 990)
    seller.expect_fills(ask, (100, 1_000))
    buyer.expect_fills(bid, (100, 1_000))


def test_orders_at_the_same_price_trade(market: Market) -> None:
    """A bid and an ask at one price trade with each other, and each names the other."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 1, 1)
    bid = buyer.buy(symbol, 1, 1)
    buyer.expect_fills(bid, (1, 1))
    seller.expect_fills(ask, (1, 1))
    (bought,), (sold,) = buyer.order(bid)["trades"], seller.order(ask)["trades"]
    assert bought["counterparty_broker"] == seller.broker_id
    assert sold["counterparty_broker"] == buyer.broker_id
    assert bought["trade_id"] == sold["trade_id"], "expected one trade with one id for both"


def test_orders_whose_prices_do_not_meet_both_wait(market: Market) -> None:
    """A bid below the best ask does not trade; both wait."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 100, 1_000)
    bid = buyer.buy(symbol, 100, 999)
    seller.expect_open(ask, 100)
    buyer.expect_open(bid, 100)
    buyer.expect_asks(symbol, (1_000, 100, 1))
    buyer.expect_bids(symbol, (999, 100, 1))


def test_orders_on_the_same_side_do_not_trade(market: Market) -> None:
    """Two bids, or two asks, never trade with each other."""
    symbol, (one, other) = market.symbol(), market.traders(2)
    one.buy(symbol, 10, 100)
    other.buy(symbol, 10, 100)
    one.sell(symbol, 10, 101)
    other.sell(symbol, 10, 101)
    one.expect_bids(symbol, (100, 20, 2))
    one.expect_asks(symbol, (101, 20, 2))


def test_orders_for_different_symbols_do_not_trade(market: Market) -> None:
    """Each symbol is a market of its own."""
    one, other, (seller, buyer) = market.symbol(), market.symbol(), market.traders(2)
    ask = seller.sell(one, 10, 100)
    bid = buyer.buy(other, 10, 100)
    seller.expect_open(ask, 10)
    buyer.expect_open(bid, 10)


def test_resting_order_taken_in_part_keeps_the_rest(market: Market) -> None:
    """The rest of a partly filled resting order stays in the book."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 100, 1_000)
    bid = buyer.buy(symbol, 30, 1_000)
    buyer.expect_closed(bid, "filled", 30)
    seller.expect_open(ask, 70)
    seller.expect_fills(ask, (30, 1_000))
    buyer.expect_asks(symbol, (1_000, 70, 1))


def test_incoming_order_filled_in_part_rests_with_the_rest(market: Market) -> None:
    """The unfilled rest of an incoming limit order rests at its own price."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 30, 1_000)
    bid = buyer.buy(symbol, 100, 1_005)
    seller.expect_closed(ask, "filled", 30)
    buyer.expect_open(bid, 70)
    buyer.expect_fills(bid, (30, 1_000))
    buyer.expect_bids(symbol, (1_005, 70, 1))
    buyer.expect_asks(symbol)


def test_incoming_order_takes_many_and_stops_at_its_limit(market: Market) -> None:
    """A large bid takes level after level, never over its limit; its average is rounded."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    for price in (1_000, 1_002, 1_010, 1_011):
        seller.sell(symbol, 10, price)
    bid = buyer.buy(symbol, 100, 1_010)
    buyer.expect_fills(bid, (10, 1_000), (10, 1_002), (10, 1_010))
    buyer.expect_order(
        bid,
        "an average of 1004, and the rest waiting",
        average_price=1_004,
        filled_quantity=30,
        remaining_quantity=70,
        status="open",
    )
    buyer.expect_bids(symbol, (1_010, 70, 1))
    buyer.expect_asks(symbol, (1_011, 10, 1))


def test_trades_of_an_order_come_newest_first_in_pages(market: Market) -> None:
    """An order's trades can be read in pages, each trade once."""
    if not market.offers("/orders/{order_id}/trades"):
        pytest.skip("this exchange offers no pages of trades")
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 5, 100)
    for quantity in (2, 1, 2):
        buyer.buy(symbol, quantity, 100)
    seller.expect_closed(ask, "filled", 5)
    seen, cursor = [], ""
    for length in (2, 1):
        path = f"/orders/{ask}/trades?limit=2{cursor}"
        page = expect_answer("a page of trades", seller.api.get(path), 200).body
        assert len(page["trades"]) == length
        seen += page["trades"]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert seen[::-1] == seller.order(ask)["trades"], "expected every trade once"
