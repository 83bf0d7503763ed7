"""Queries, where they are offered"""

from typing import Any

from conformance.trader import Market, Trader, expect, expect_answer

ORDER = {
    "document_number": "12345678901",
    "side": "bid",
    "price": 1_000,
    "quantity": 10,
}


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
    market.require("/stocks")
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
    market.require("/orders/validate")
    symbol, trader = market.symbol(), market.trader()
    order = ORDER | {"symbol": symbol}
    answer = trader.api.call("POST", "/orders/validate", order)
    expect_answer("a valid order", answer, 200)
    assert (answer.body["valid"], answer.body["symbol"]) == (True, symbol)
    answer = trader.api.call("POST", "/orders/validate", order | {"price": 0})
    expect_answer("a fault", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/price"]
    trader.expect_bids(symbol)


def test_trades_of_a_symbol_come_in_pages_each_once(market: Market) -> None:
    """The trades of a symbol can be read in pages, from either end, each trade once."""
    market.require("/stocks/{symbol}/trades")
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    path = f"/stocks/{symbol}/trades"
    assert listed(buyer, f"{path}?limit=1", "trades") == [], "expected no trades of a new symbol"
    seller.sell(symbol, 10, 1_000)
    for quantity in (1, 2, 3):
        buyer.buy(symbol, quantity, 1_000)

    def quantities(query: str) -> list[int]:
        return [trade["quantity"] for trade in listed(buyer, path + query, "trades")]

    expect("the trades, newest first", [3, 2, 1], lambda: quantities("?limit=2"))
    expect("the trades, oldest first", [1, 2, 3], lambda: quantities("?limit=2&after=0"))
    expect("the trades after the first", [2, 3], lambda: quantities("?limit=1&after=1"))
    trades = listed(seller, f"{path}?limit=500", "trades")
    assert [trade["sequence"] for trade in trades] == [3, 2, 1]
    assert {trade["aggressor_side"] for trade in trades} == {"bid"}


def test_fills_are_the_brokers_own_sides_of_trades(market: Market) -> None:
    """Each broker sees its own sides of trades, in pages, each once."""
    market.require("/fills")
    symbol, (seller, buyer, other) = market.symbol(), market.traders(3)
    ask = seller.sell(symbol, 10, 1_000)
    bids = [buyer.buy(symbol, quantity, 1_000) for quantity in (1, 2, 3)]

    def fills(trader: Trader, query: str) -> list[tuple[str, str, str, int]]:
        found = listed(trader, f"/fills?symbol={symbol}{query}", "fills")
        return [(f["order_id"], f["side"], f["role"], f["quantity"]) for f in found]

    bought = [(bid, "bid", "taker", 1 + index) for index, bid in enumerate(bids)]
    sold = [(ask, "ask", "maker", quantity) for quantity in (1, 2, 3)]
    expect("the buyer's fills", bought, lambda: fills(buyer, "&sort=oldest&limit=2"))
    expect("the seller's fills", sold[::-1], lambda: fills(seller, "&limit=1"))
    expect("the fills of one order", [bought[1]], lambda: fills(buyer, f"&order_id={bids[1]}"))
    assert fills(other, "") == [], "expected no fills of a broker that has not traded"


def test_orders_of_a_broker_are_listed_by_state_and_client_order_id(market: Market) -> None:
    """Each broker sees its own orders, in pages, each once, with the number of their trades."""
    market.require("/orders", "get")
    symbol, (trader, other) = market.symbol(), market.traders(2)
    orders = [
        trader.buy(symbol, 1, 100 + cents, client_order_id=f"o-{cents}") for cents in range(3)
    ]
    trader.cancel(orders[1])

    def found(trader: Trader, query: str) -> list[str]:
        path = f"/orders?symbol={symbol}&limit=2{query}"
        return [order["order_id"] for order in listed(trader, path, "orders")]

    expect("all orders, newest first", orders[::-1], lambda: found(trader, ""))
    expect("all orders, oldest first", orders, lambda: found(trader, "&sort=oldest"))
    expect("the open ones", [orders[2], orders[0]], lambda: found(trader, "&status=open"))
    expect("the closed one", [orders[1]], lambda: found(trader, "&status=closed"))
    expect("one by its client order id", [orders[2]], lambda: found(trader, "&client_order_id=o-2"))
    assert found(trader, "&client_order_id=o-9") == [], "expected no order of an unused id"
    assert found(other, "") == [], "expected no orders of a broker that has sent none"
    other.sell(symbol, 1, 100)

    def counts() -> list[int]:
        path = f"/orders?symbol={symbol}&limit=2"
        return [order["trades_count"] for order in listed(trader, path, "orders")]

    expect("the number of trades of each", [1, 0, 0], counts)


def test_candles_sum_the_trades_of_their_interval(market: Market) -> None:
    """The candle of a day has open, high, low, close and sums of the trades in it."""
    market.require("/stocks/{symbol}/candles")
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    path = f"/stocks/{symbol}/candles?interval=1d"
    empty = expect_answer("candles", buyer.api.get(path), 200).body
    assert empty["candles"] == [], "expected no candles of a new symbol"
    for quantity, cents in ((2, 1_000), (1, 1_003), (3, 998), (1, 999)):
        seller.sell(symbol, quantity, cents)
        buyer.buy(symbol, quantity, cents)

    def sums() -> tuple[int, int, int]:
        candles = expect_answer("candles", buyer.api.get(path), 200).body["candles"]
        return tuple(sum(c[name] for c in candles) for name in ("volume", "value", "trades"))

    expect("shares, cents and trades", (7, 2_000 + 1_003 + 2_994 + 999, 4), sums)
    candles = expect_answer("candles", buyer.api.get(path), 200).body["candles"]
    # Two if the market's day ended meanwhile.
    ends = candles[0]["open"], max(c["high"] for c in candles), candles[-1]["close"]
    assert (*ends, min(c["low"] for c in candles)) == (1_000, 1_003, 999, 998)


def test_ticker_shows_the_best_prices_and_sums_of_the_day(market: Market) -> None:
    """A ticker has last and best prices, and open, high, low and sums of the last 24 hours."""
    market.require("/stocks/{symbol}/ticker")
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    path = f"/stocks/{symbol}/ticker"
    empty = expect_answer("a ticker", buyer.api.get(path), 200).body
    assert (empty["last"], empty["bid"], empty["trades"]) == (None, None, 0)
    for quantity, cents in ((2, 1_000), (1, 1_003), (3, 998)):
        seller.sell(symbol, quantity, cents)
        buyer.buy(symbol, quantity, cents)
    seller.sell(symbol, 7, 1_010)
    buyer.buy(symbol, 5, 990)

    def shown(*names: str) -> list[int | None]:
        body = expect_answer("a ticker", buyer.api.get(path), 200).body
        return [body[name] for name in names]

    day = ("last", "open", "high", "low", "volume", "value", "trades")
    sums: list[int | None] = [998, 1_000, 1_003, 998, 6, 2_000 + 1_003 + 2_994, 3]
    expect("the day", sums, lambda: shown(*day))
    best: list[int | None] = [990, 5, 1_010, 7]
    expect("the best prices", best, lambda: shown("bid", "bid_quantity", "ask", "ask_quantity"))
    listed = expect_answer("tickers", buyer.api.get(f"/tickers?symbols={symbol}"), 200).body
    assert [each["symbol"] for each in listed["tickers"]] == [symbol]
