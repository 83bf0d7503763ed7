"""The exchange for programs that use ccxt: markets are PETR4/BRL, prices are decimal.

    pip install -r examples/ccxt/requirements.txt
    python examples/ccxt/mini_exchange.py http://127.0.0.1:8000 KEY PETR4

prints order book, trades, orders and balance. In a program of your own:

    exchange = MiniExchange({"apiKey": KEY, "documentNumber": "1", "urls": {"api": {"rest": URL}}})
    exchange.create_order("PETR4/BRL", "limit", "buy", 100, 37.12)
"""

import json
import sys
from typing import Any

import ccxt
from ccxt.base.decimal_to_precision import TICK_SIZE

Fields = dict[str, Any]
INTERVALS = ("1m", "5m", "1h", "1d")
QUOTE = "BRL"
CENTS = 100
SIDES = {"buy": "bid", "sell": "ask"}
SIDE_NAMES = {"bid": "buy", "ask": "sell"}
# Reasons of a closed order that ccxt has a word for; the others are "canceled".
STATUSES = {"filled": "closed", "expired": "expired"}
FEATURES = (
    "fetchMarkets",
    "fetchTicker",
    "fetchTickers",
    "fetchOrderBook",
    "fetchTrades",
    "fetchOHLCV",
    "createOrder",
    "cancelOrder",
    "cancelAllOrders",
    "fetchOrder",
    "fetchOrders",
    "fetchOpenOrders",
    "fetchClosedOrders",
    "fetchMyTrades",
    "fetchBalance",
)
ERRORS = {
    "unauthenticated": ccxt.AuthenticationError,
    "forbidden": ccxt.PermissionDenied,
    "order_not_found": ccxt.OrderNotFound,
    "too_late_to_cancel": ccxt.OrderNotFound,
    "client_order_id_reused": ccxt.DuplicateOrderId,
    "post_only_would_trade": ccxt.OrderImmediatelyFillable,
    "invalid": ccxt.InvalidOrder,
    "rate_limited": ccxt.RateLimitExceeded,
    "not_accepted": ccxt.ExchangeNotAvailable,
    # The order may stand: `fetch_orders` with its clientOrderId finds it.
    "outcome_unknown": ccxt.RequestTimeout,
}


class MiniExchange(ccxt.Exchange):
    """An exchange of ccxt; documents its methods. `documentNumber` is sent with every order."""

    def describe(self) -> Fields:
        """Features and settings, as ccxt wants them."""
        return self.deep_extend(
            super().describe(),
            {
                "id": "miniexchange",
                "name": "Mini exchange",
                "countries": ["BR"],
                "rateLimit": 10,
                "has": dict.fromkeys(FEATURES, True) | {"spot": True},
                "timeframes": {interval: interval for interval in INTERVALS},
                "urls": {"api": {"rest": "http://127.0.0.1:8000"}},
                "requiredCredentials": {"apiKey": True, "secret": False},
                "precisionMode": TICK_SIZE,
                "documentNumber": "1",
            },
        )

    def sign(
        self, path: str, api: Any = "rest", method: str = "GET", params: Any = None, *more: Any
    ) -> Fields:
        """A request with the key."""
        self.check_required_credentials()
        rest = self.omit(params or {}, self.extract_params(path))
        url = f"{self.urls['api']['rest']}/{self.implode_params(path, params or {})}"
        headers = {"Authorization": f"Bearer {self.apiKey}"}
        body = None
        if method == "POST" and path == "orders":
            headers["Content-Type"] = "application/json"
            body = self.json(rest)
        elif rest:
            url += "?" + self.urlencode(rest)
        return {"url": url, "method": method, "body": body, "headers": headers}

    def handle_errors(self, status: int, reason: str, *more: Any) -> None:
        """Raise the error of ccxt for the code of a problem."""
        _url, _method, _headers, body, response = more[:5]
        code = self.safe_string(response, "code") if isinstance(response, dict) else None
        if status >= 400 and code is not None:  # noqa: PLR2004
            raise ERRORS.get(code, ccxt.ExchangeError)(f"{self.id} {body}")

    def fetch_markets(self, params: Any = None) -> list[Fields]:
        """All stocks, as spot markets in BRL."""
        return [self._market(each) for each in self._pages("stocks", params or {})]

    def fetch_ticker(self, symbol: str, params: Any = None) -> Fields:
        """The ticker of the last 24 hours."""
        return self.parse_ticker(self._of_symbol("ticker", symbol, params))

    def fetch_tickers(self, symbols: Any = None, params: Any = None) -> Fields:
        """Tickers by symbol."""
        self.load_markets()
        ids = ",".join(self.market_id(each) for each in symbols) if symbols else "*"
        found = self._pages("tickers", {"symbols": ids} | (params or {}))
        return {each["symbol"]: each for each in map(self.parse_ticker, found)}

    def fetch_order_book(self, symbol: str, limit: Any = None, params: Any = None) -> Fields:
        """The best levels of both sides."""
        depth = {} if limit is None else {"depth": limit}
        book = self._of_symbol("book", symbol, depth | (params or {}))
        levels = {
            side: [[each["price"] / CENTS, each["total_quantity"]] for each in book[side]]
            for side in ("bids", "asks")
        }
        parsed = self.parse_order_book(levels, symbol, self.parse8601(book["as_of"]))
        return {**parsed, "nonce": book["sequence"]}

    def fetch_trades(
        self, symbol: str, since: Any = None, limit: Any = None, params: Any = None
    ) -> list[Fields]:
        """The newest public trades, oldest first."""
        count = {} if limit is None else {"limit": limit}
        page = self._of_symbol("trades", symbol, count | (params or {}))
        return self.parse_trades(page["trades"], self.market(symbol), since, limit)

    def fetch_ohlcv(
        self,
        symbol: str,
        timeframe: str = "1m",
        since: Any = None,
        limit: Any = None,
        params: Any = None,
    ) -> list[list[Any]]:
        """Candles, oldest first."""
        query = {"interval": timeframe, "limit": limit or 100}
        if since is not None:
            query["from"] = self.iso8601(since)
        page = self._of_symbol("candles", symbol, query | (params or {}))
        return self.parse_ohlcvs(page["candles"], self.market(symbol), timeframe, since, limit)

    def create_order(self, symbol: str, type: str, side: str, amount: float, *rest: Any) -> Fields:
        """A limit or market order; `params` has other fields of `POST /orders`."""
        price, params = (*rest, None, None)[:2]
        self.load_markets()
        order = {
            "document_number": self.documentNumber,
            "symbol": self.market_id(symbol),
            "side": SIDES[side],
            "order_type": type,
            "quantity": int(amount),
            "client_order_id": self.uuid(),
        }
        if price is not None:
            order["price"] = round(price * CENTS)
        more = dict(params or {})
        if "clientOrderId" in more:
            order["client_order_id"] = more.pop("clientOrderId")
        return self.parse_order(self._send("orders", order | more))

    def cancel_order(self, id: str, symbol: Any = None, params: Any = None) -> Fields:
        """Cancel an order."""
        self._send("orders/{order_id}/cancel", {"order_id": id} | (params or {}))
        return self.fetch_order(id)

    def cancel_all_orders(self, symbol: Any = None, params: Any = None) -> list[Fields]:
        """Cancel all open orders, or those of a symbol."""
        self.load_markets()
        named = {} if symbol is None else {"symbol": self.market_id(symbol)}
        found = self._send("orders/cancel-all", named | (params or {}))
        return [self.safe_order({"id": each}) for each in found["cancelled"]]

    def fetch_order(self, id: str, symbol: Any = None, params: Any = None) -> Fields:
        """An own order."""
        self.load_markets()
        return self.parse_order(self._get("orders/{order_id}", {"order_id": id} | (params or {})))

    def fetch_orders(
        self, symbol: Any = None, since: Any = None, limit: Any = None, params: Any = None
    ) -> list[Fields]:
        """Own orders."""
        return self._own("orders", "orders", (symbol, since, limit, params))

    def fetch_open_orders(self, *given: Any) -> list[Fields]:
        """Own open orders."""
        return self._own("orders", "orders", given, status="open")

    def fetch_closed_orders(self, *given: Any) -> list[Fields]:
        """Own closed orders."""
        return self._own("orders", "orders", given, status="closed")

    def fetch_my_trades(self, *given: Any) -> list[Fields]:
        """Own fills."""
        return self._own("fills", "trades", given)

    def fetch_balance(self, params: Any = None) -> Fields:
        """BRL and shares. The exchange reserves nothing for open orders, and shares may be owed."""
        answer = self._get("balance", params or {})
        positions = answer["positions"]
        while answer["next_cursor"] is not None:
            answer = self._get("balance", {"cursor": answer["next_cursor"]})
            positions += answer["positions"]
        found = {QUOTE: answer["balance"] / CENTS}
        found |= {each["symbol"]: each["quantity"] for each in positions}
        accounts = {name: {"free": held, "total": held} for name, held in found.items()}
        return self.safe_balance({"info": answer, **accounts})

    def parse_ticker(self, ticker: Fields, market: Any = None) -> Fields:
        """A ticker as ccxt has it."""
        names = ("last", "open", "high", "low", "bid", "ask")
        prices = {name: _decimal(ticker[name]) for name in names}
        return self.safe_ticker(
            prices
            | {
                "symbol": f"{ticker['symbol']}/{QUOTE}",
                "timestamp": self.parse8601(ticker["as_of"]),
                "datetime": ticker["as_of"],
                "bidVolume": ticker["bid_quantity"],
                "askVolume": ticker["ask_quantity"],
                "baseVolume": ticker["volume"],
                "quoteVolume": ticker["value"] / CENTS,
                "info": ticker,
            }
        )

    def parse_trade(self, trade: Fields, market: Any = None) -> Fields:
        """A public trade, or an own fill, as ccxt has it."""
        named = f"{trade['symbol']}/{QUOTE}" if "symbol" in trade else market["symbol"]
        return self.safe_trade(
            {
                "id": trade["trade_id"],
                "order": trade.get("order_id"),
                "symbol": named,
                "side": SIDE_NAMES[trade.get("side") or trade["aggressor_side"]],
                "takerOrMaker": trade.get("role"),
                "price": trade["price"] / CENTS,
                "amount": trade["quantity"],
                "timestamp": self.parse8601(trade["executed_at"]),
                "datetime": trade["executed_at"],
                "info": trade,
            }
        )

    def parse_ohlcv(self, candle: Fields, market: Any = None) -> list[Any]:
        """A candle as ccxt has it."""
        prices = [candle[name] / CENTS for name in ("open", "high", "low", "close")]
        return [self.parse8601(candle["start"]), *prices, candle["volume"]]

    def parse_order(self, order: Fields, market: Any = None) -> Fields:
        """An order as ccxt has it; one without an outcome has only its ids."""
        ids = {"id": order["order_id"], "clientOrderId": order.get("client_order_id")}
        if "created_at" not in order:
            return self.safe_order(ids | {"info": order})
        reason = order["closed_reason"]
        return self.safe_order(
            ids
            | {
                "symbol": f"{order['symbol']}/{QUOTE}",
                "type": order["order_type"],
                "side": SIDE_NAMES[order["side"]],
                "timeInForce": order["time_in_force"].upper(),
                "postOnly": order["post_only"],
                "price": _decimal(order["price"]),
                "average": _decimal(order["average_price"]),
                "amount": order["quantity"],
                "filled": order["filled_quantity"],
                "remaining": order["remaining_quantity"],
                "status": "open" if reason is None else STATUSES.get(reason, "canceled"),
                "timestamp": self.parse8601(order["created_at"]),
                "datetime": order["created_at"],
                "info": order,
            }
        )

    def _market(self, stock: Fields) -> Fields:
        return self.safe_market_structure(
            {
                "id": stock["symbol"],
                "symbol": f"{stock['symbol']}/{QUOTE}",
                "base": stock["symbol"],
                "quote": QUOTE,
                "baseId": stock["symbol"],
                "quoteId": QUOTE,
                "type": "spot",
                "spot": True,
                "active": stock["listed"],
                "precision": {
                    "price": stock["tick_size"] / CENTS,
                    "amount": float(stock["lot_size"]),
                },
                "limits": {"amount": {"min": stock["lot_size"]}},
                "info": stock,
            }
        )

    def _get(self, path: str, params: Fields) -> Any:
        return self.request(path, ["rest"], "GET", params)

    def _send(self, path: str, params: Fields) -> Any:
        return self.request(path, ["rest"], "POST", params)

    def _of_symbol(self, what: str, symbol: str, params: Any) -> Any:
        self.load_markets()
        return self._get(
            f"stocks/{{symbol}}/{what}", {"symbol": self.market_id(symbol), **(params or {})}
        )

    def _pages(self, name: str, params: Fields, count: int | None = None) -> list[Fields]:
        """Entries of a list over its pages; at most `count`."""
        found: list[Fields] = []
        page: Fields = {"next_cursor": ""}
        while page["next_cursor"] is not None and (count is None or len(found) < count):
            after = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = self._get(name, params | after)
            found += page[name]
        return found[:count]

    def _own(self, name: str, kind: str, given: Any, **fixed: str) -> list[Fields]:
        symbol, since, limit, params = (*given, None, None, None, None)[:4]
        self.load_markets()
        query = fixed | (params or {})
        if symbol is not None:
            query["symbol"] = self.market_id(symbol)
        if since is not None and name == "orders":
            query["from"] = self.iso8601(since)
        found = self._pages(name, query, limit)
        parse = self.parse_orders if kind == "orders" else self.parse_trades
        return parse(found, None if symbol is None else self.market(symbol), since, limit)


def _decimal(cents: int | None) -> float | None:
    return None if cents is None else cents / CENTS


def main(url: str, key: str, stock: str) -> None:
    """Place two orders that trade, cancel a third; print what the exchange shows then."""
    exchange = MiniExchange({"apiKey": key, "urls": {"api": {"rest": url}}})
    symbol = f"{stock}/{QUOTE}"
    exchange.create_order(symbol, "limit", "buy", 5, 37.0)
    sold = exchange.create_order(symbol, "limit", "sell", 2, 37.0)
    resting = exchange.create_order(symbol, "limit", "sell", 4, 37.5)
    cancelled = exchange.cancel_order(resting["id"])
    exchange.create_order(symbol, "limit", "sell", 4, 37.12)
    shown = {
        "orders": [sold["status"], cancelled["status"]],
        "book": exchange.fetch_order_book(symbol),
        "trades": exchange.fetch_trades(symbol),
        "ticker": exchange.fetch_ticker(symbol),
        "tickers": sorted(exchange.fetch_tickers([symbol])),
        "candles": exchange.fetch_ohlcv(symbol, "1d"),
        "open": exchange.fetch_open_orders(symbol),
        "closed": exchange.fetch_closed_orders(symbol),
        "fills": exchange.fetch_my_trades(symbol),
        "balance": exchange.fetch_balance()["total"],
    }
    sys.stdout.write(json.dumps(shown) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
