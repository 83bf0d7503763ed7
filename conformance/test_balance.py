"""Balances"""

from conformance.trader import Market, expect


def test_balance_after_a_trade_moves_cash_and_shares(market: Market) -> None:
    """The seller gets the cash, the buyer the shares; orders that wait move nothing."""
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    seller.sell(symbol, 7, 500)
    buyer.buy(symbol, 10, 510)
    seller.expect_balance(3_500, {symbol: -7})
    buyer.expect_balance(-3_500, {symbol: 7})


def test_balances_of_many_brokers_sum_to_zero(market: Market) -> None:
    """Over all brokers, cash and shares of each symbol sum to zero."""
    symbols, traders = [market.symbol(), market.symbol()], market.traders(4)
    for number in range(24):
        trader, symbol = traders[number % 4], symbols[number % 2 ^ number // 12]
        place = trader.sell if number // 4 % 2 else trader.buy
        place(symbol, 1 + number % 5, None if number % 7 == 6 else 100 + number % 3)

    def sums() -> tuple[int, dict[str, int]]:
        balances = [trader.balance() for trader in traders]
        cash = sum(balance for balance, _ in balances)
        return cash, {s: sum(held.get(s, 0) for _, held in balances) for s in symbols}

    expect("cash and shares of all to sum to zero", (0, dict.fromkeys(symbols, 0)), sums)
    assert any(held for _, held in (trader.balance() for trader in traders)), "expected a trade"


def test_balance_after_buying_and_selling_back_is_the_profit(market: Market) -> None:
    """Buying and then selling the same shares leaves the difference in cash."""
    symbol, (maker, trader) = market.symbol(), market.traders(2)
    maker.sell(symbol, 10, 100)
    trader.buy(symbol, 10, 100)
    maker.buy(symbol, 10, 103)
    trader.sell(symbol, 10, 103)
    trader.expect_balance(30, {})
    maker.expect_balance(-30, {})
