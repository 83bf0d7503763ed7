"""Cancelling, and ownership of orders"""

from conformance.trader import Market, expect_answer, in_seconds


def test_cancelled_order_leaves_the_book(market: Market) -> None:
    """A cancelled order is out of the book and does not trade."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 10, 100)
    seller.cancel(ask)
    seller.expect_closed(ask, "cancelled", 0)
    seller.expect_asks(symbol)
    bid = buyer.buy(symbol, 10, 100)
    buyer.expect_open(bid, 10)
    seller.expect_closed(ask, "cancelled", 0)


def test_cancel_of_a_partly_filled_order_ends_the_rest(market: Market) -> None:
    """Cancelling what is left does not undo what was traded."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 10, 100)
    buyer.buy(symbol, 4, 100)
    seller.cancel(ask)
    seller.expect_closed(ask, "cancelled", 4)
    seller.expect_order(ask, "6 shares not traded", remaining_quantity=6)
    seller.expect_balance(400, {symbol: -4})


def test_repeated_cancel_is_answered_as_before(market: Market) -> None:
    """Cancelling twice does no harm."""
    symbol, trader = market.symbol(), market.trader()
    order = trader.buy(symbol, 10, 100)
    trader.cancel(order)
    trader.expect_closed(order, "cancelled", 0)
    expect_answer("the same answer again", trader.api.cancel(order), 204)


def test_cancel_of_an_expired_order_succeeds(market: Market) -> None:
    """Cancelling an order that has expired succeeds: it can no longer trade."""
    symbol, trader = market.symbol(), market.trader()
    order = trader.buy(symbol, 10, 100, valid_until=in_seconds(2))
    trader.expect_closed(order, "expired", 0)
    expect_answer("no error", trader.api.cancel(order), 204)
    trader.expect_closed(order, "expired", 0)


def test_cancel_of_a_filled_order_is_refused_as_too_late(market: Market) -> None:
    """A filled order cannot be cancelled; the answer shows the order."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    ask = seller.sell(symbol, 10, 100)
    buyer.buy(symbol, 10, 100)
    seller.expect_closed(ask, "filled", 10)
    answer = seller.api.cancel(ask)
    expect_answer("the cancel to come too late", answer, 409, "too_late_to_cancel")
    assert answer.body["order"]["closed_reason"] == "filled"
    assert answer.body["order"]["order_id"] == ask


def test_order_of_another_broker_is_answered_as_unknown(market: Market) -> None:
    """Another broker's order can be neither seen nor cancelled; it looks like an unknown order."""
    symbol, (owner, other) = market.symbol(), market.traders(2)
    order = owner.buy(symbol, 10, 100)
    unknown = order[:-6] + ("abcdef" if order[-6:] != "abcdef" else "fedcba")
    for act in (lambda key: other.api.get(f"/orders/{key}"), other.api.cancel):
        foreign, none = act(order), act(unknown)
        for answer in (foreign, none):
            expect_answer("no such order", answer, 404, "order_not_found")
        assert foreign.body["detail"] == none.body["detail"], "expected no difference"
    owner.expect_open(order, 10)
    owner.expect_bids(symbol, (100, 10, 1))
