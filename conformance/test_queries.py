"""Queries, where they are offered"""

from typing import Any

import pytest

from conformance.trader import Market, Trader, expect, expect_answer

ORDER = {
    "document_number": "12345678901",
    "side": "bid",
    "price": 1_000,
    "quantity": 10,
}


def require(market: Market, path: str) -> None:
    """Skip the rule where the exchange lacks the call."""
    if not market.offers(path):
        pytest.skip(f"this exchange does not offer {path}")


def listed(trader: Trader, path: str, name: str) -> list[dict[str, Any]]:
    """All entries of a list that is answered in pages."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = expect_answer("a page", trader.api.get(path + cursor), 200).body
        found += page[name]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_stocks_contain_a_symbol_once_it_was_traded(market: Market) -> None:
    """A traded symbol is in the list of stocks once, with its last price and number of trades."""
    require(market, "/stocks")
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    seller.sell(symbol, 10, 1_000)
    buyer.buy(symbol, 4, 1_000)
    buyer.buy(symbol, 4, 1_000)

    def figures() -> list[tuple[int, int]]:
        stocks = listed(buyer, "/stocks?limit=500", "stocks")
        return [(s["last_price"], s["trade_sequence"]) for s in stocks if s["symbol"] == symbol]

    expect("the symbol once, with price and trades", [(1_000, 2)], figures)
    unknown = expect_answer("a stock", buyer.api.get(f"/stocks/{market.symbol()}"), 200).body
    assert (unknown["listed"], unknown["last_price"], unknown["trade_sequence"]) == (False, None, 0)


def test_validated_order_is_not_placed(market: Market) -> None:
    """Validating an order answers as placing it would, and places nothing."""
    require(market, "/orders/validate")
    symbol, trader = market.symbol(), market.trader()
    order = ORDER | {"symbol": symbol}
    answer = trader.api.call("POST", "/orders/validate", order)
    expect_answer("a valid order", answer, 200)
    assert (answer.body["valid"], answer.body["symbol"]) == (True, symbol)
    answer = trader.api.call("POST", "/orders/validate", order | {"price": 0})
    expect_answer("a fault", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/price"]
    trader.expect_bids(symbol)
