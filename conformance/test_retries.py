"""Retries with a client order id"""

from functools import partial

from conformance.trader import Market, at_once, expect_answer


def test_retry_of_an_order_gives_the_same_order(market: Market) -> None:
    """The same order sent again under its client order id is not a second one."""
    symbol, trader = market.symbol(), market.trader()
    first = trader.buy(symbol, 10, 100, client_order_id="mine-1")
    again = trader.api.place("bid", symbol, 10, 100, client_order_id="mine-1")
    expect_answer("the answer of a retry", again, 200)
    assert again.body["order_id"] == first, "expected the first order's id"
    trader.expect_order(first, "its client order id", client_order_id="mine-1")
    trader.expect_bids(symbol, (100, 10, 1))


def test_retry_of_a_filled_order_trades_nothing_more(market: Market) -> None:
    """A retry of an order that has traded returns that order, and trades nothing more."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    offer = seller.sell(symbol, 100, 50)
    bid = buyer.buy(symbol, 10, 50, client_order_id="mine-1")
    buyer.expect_closed(bid, "filled", 10)
    again = buyer.api.place("bid", symbol, 10, 50, client_order_id="mine-1")
    expect_answer("the answer of a retry", again, 200)
    assert again.body["order_id"] == bid
    assert again.body["filled_quantity"] == 10
    seller.expect_open(offer, 90)


def test_retry_with_other_content_is_refused(market: Market) -> None:
    """A client order id cannot be used for another order."""
    symbol, trader = market.symbol(), market.trader()
    trader.buy(symbol, 10, 100, client_order_id="mine-1")
    for quantity, price in ((11, 100), (10, 101)):
        answer = trader.api.place("bid", symbol, quantity, price, client_order_id="mine-1")
        expect_answer("another order to be refused", answer, 409, "client_order_id_reused")
    other_side = trader.api.place("ask", symbol, 10, 100, client_order_id="mine-1")
    expect_answer("another order to be refused", other_side, 409, "client_order_id_reused")
    trader.expect_bids(symbol, (100, 10, 1))
    trader.expect_asks(symbol)


def test_client_order_id_of_one_broker_is_free_for_another(market: Market) -> None:
    """Two brokers may use the same client order id."""
    symbol, (one, other) = market.symbol(), market.traders(2)
    first = one.buy(symbol, 10, 100, client_order_id="mine-1")
    second = other.buy(symbol, 10, 100, client_order_id="mine-1")
    assert first != second
    one.expect_bids(symbol, (100, 20, 2))


def test_retries_sent_at_once_make_one_order(market: Market) -> None:
    """An order sent many times at once is one order."""
    symbol, trader = market.symbol(), market.trader()
    send = partial(trader.api.place, "bid", symbol, 10, 100, client_order_id="mine-1")
    answers = at_once([send] * 8)
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201], answers
    assert len({answer.body["order_id"] for answer in answers}) == 1
    trader.expect_bids(symbol, (100, 10, 1))
