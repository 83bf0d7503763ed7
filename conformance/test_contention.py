"""Simultaneous requests"""

from functools import partial

from conformance.trader import Market, Trader, at_once, expect, expect_answer

TAKERS = 12
RACES = 10


def symbols(market: Market, count: int) -> list[str]:
    return [market.symbol() for _ in range(count)]


def filled(orders: list[tuple[Trader, str]]) -> int:
    return sum(trader.order(order)["filled_quantity"] for trader, order in orders)


def test_one_order_taken_by_many_limit_orders_trades_exactly_its_shares(market: Market) -> None:
    """Of many bids for one offer, exactly the shares offered trade; the other bids wait."""
    symbol, (maker, *takers) = market.symbol(), market.traders(1 + TAKERS)
    offer = maker.sell(symbol, 65, 100)
    bids = at_once([partial(taker.buy, symbol, 10, 100) for taker in takers])
    orders = list(zip(takers, bids, strict=True))
    maker.expect_closed(offer, "filled", 65)
    expect("65 shares bought by all of them", 65, lambda: filled(orders))
    maker.expect_asks(symbol)
    # Six bids are filled and one has five shares left.
    maker.expect_bids(symbol, (100, 10 * TAKERS - 65, TAKERS - 6))
    assert sum(shares for shares, _ in maker.fills(offer)) == 65
    maker.expect_balance(6_500, {symbol: -65})


def test_one_order_taken_by_many_market_orders_trades_exactly_its_shares(market: Market) -> None:
    """Of many market orders for one offer, exactly its shares trade; the rest is cancelled."""
    symbol, (maker, *takers) = market.symbol(), market.traders(1 + TAKERS)
    offer = maker.sell(symbol, 65, 100)
    taken = at_once([partial(taker.buy, symbol, 10) for taker in takers])
    orders = list(zip(takers, taken, strict=True))
    maker.expect_closed(offer, "filled", 65)
    expect("65 shares bought by all of them", 65, lambda: filled(orders))
    reasons = sorted(trader.order(order)["closed_reason"] for trader, order in orders)
    assert reasons == ["filled"] * 6 + ["no_liquidity"] * (TAKERS - 6)


def test_simultaneous_buyers_and_sellers_leave_no_crossed_book(market: Market) -> None:
    """Simultaneous buyers and sellers at one price all trade; no bid rests above an ask."""
    symbol, sides = market.symbol(), market.traders(TAKERS)
    sellers, buyers = sides[::2], sides[1::2]
    places = [
        place
        for seller, buyer in zip(sellers, buyers, strict=True)
        for place in (
            partial(seller.sell, symbol, 10, 100),
            partial(buyer.buy, symbol, 10, 100),
        )
    ]
    orders = list(zip(sides, at_once(places), strict=True))
    for trader, order in orders:
        trader.expect_closed(order, "filled", 10)
    sides[0].expect_asks(symbol)
    sides[0].expect_bids(symbol)


def test_cancel_racing_a_taker_succeeds_or_the_order_trades(market: Market) -> None:
    """An order that is cancelled and taken at once is either cancelled or traded, never both."""
    maker, taker = market.traders(2)
    for _ in range(2):
        offers = [(symbol, maker.sell(symbol, 10, 100)) for symbol in symbols(market, RACES)]
        cancels = [partial(_cancel, maker, offer) for _, offer in offers]
        takes = [partial(taker.buy, symbol, 10, 100) for symbol, _ in offers]
        # Side by side in the list, so that those of one offer start together.
        pairs = [act for pair in zip(cancels, takes, strict=True) for act in pair]
        came_to = at_once(pairs)
        answers, bids = came_to[::2], came_to[1::2]
        for (_, offer), answer, bid in zip(offers, answers, bids, strict=True):
            order = maker.settled(offer)
            traded = order["filled_quantity"]
            assert (order["closed_reason"], traded) in (("cancelled", 0), ("filled", 10))
            assert answer in (("204", "202") if traded == 0 else ("409", "202"))
            taker.expect_order(bid, "the taker to have the same trade", filled_quantity=traded)


def test_simultaneous_refusals_are_each_answered(market: Market) -> None:
    """Refusals sent to many brokers at once each give the reason."""
    symbol, traders = market.symbol(), market.traders(4)
    for _ in range(8):
        refused = [partial(trader.api.get, f"/stocks/{symbol}/price") for trader in traders * 4]
        for answer in at_once(refused):
            expect_answer("to hear that there was no trade", answer, 404, "no_trades")


def _cancel(trader: Trader, order: str) -> str:
    return str(trader.api.cancel(order).status)
