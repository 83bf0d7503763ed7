"""The calls of the exchange as methods. Each builds a Call; subclasses carry it out.

The type parameter is what a method returns: the answer of a blocking client, an awaitable of it of
an asynchronous one. Answers are the JSON objects of the HTTP interface; {} where there is no body.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Call:
    """One request. `repeatable`: a second one does no harm. `changes`: it may change something.

    `operation` and `fields` are its form in an order session, if it has one.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    prefer: str = ""
    repeatable: bool = True
    client_order_id: str = ""
    operation: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """False for queries."""
        return self.method != "GET"


def place_call(order: Mapping[str, Any], wait_s: int | None, respond: str) -> Call:
    """An order, with a client order id: only an order that has one can be sent again."""
    named = {"client_order_id": secrets.token_hex(16)} | dict(order)
    preferences = ["respond-async"] if respond == "stored" else []
    session: dict[str, Any] = {"order": named, "respond": respond}
    if wait_s is not None:
        preferences.append(f"wait={wait_s}")
        session["wait_s"] = wait_s
    return Call(
        "POST",
        "/orders",
        named,
        prefer=", ".join(preferences),
        client_order_id=str(named["client_order_id"]),
        operation="place",
        fields=session,
    )


def change_call(order_id: str, operation: str, values: Mapping[str, Any] | None = None) -> Call:
    """A `cancel` of an order, or a `replace` of its values."""
    fields: dict[str, Any] = {"order_id": order_id}
    if values is not None:
        fields["values"] = values
    path = f"/orders/{order_id}/{operation}"
    return Call("POST", path, values, operation=operation, fields=fields)


def cancel_all_call(filters: Mapping[str, object]) -> Call:
    """A cancel of all orders, or of those of a `symbol` or `side`."""
    query = _texts(filters)
    return Call("POST", "/orders/cancel-all", query=query, operation="cancel_all", fields=query)


class OrderMethods(ABC, Generic[Returned]):
    """Orders and cancels, by HTTP and in an order session alike."""

    @abstractmethod
    def run(self, call: Call) -> Returned:
        """Carry out a call, with retries until the client's deadline."""

    def place(
        self, *, wait_s: int | None = None, respond: str = "outcome", **order: Any
    ) -> Returned:
        """Place an order: the fields of `POST /orders`, prices in cents.

        `wait_s`: longest wait for the outcome. `respond` "stored": return once the order is
        stored. Without an outcome the answer has the status "pending".
        """
        return self.run(place_call(order, wait_s, respond))

    def cancel(self, order_id: str) -> Returned:
        """Cancel an order. A repeated cancel succeeds again."""
        return self.run(change_call(order_id, "cancel"))

    def replace(self, order_id: str, **values: Any) -> Returned:
        """Replace `quantity`, `price` or `valid_until` of an open order."""
        return self.run(change_call(order_id, "replace", values))

    def cancel_all(self, symbol: str | None = None, side: str | None = None) -> Returned:
        """Cancel all open orders, or those of a symbol, or of a side. A repetition does no harm."""
        return self.run(cancel_all_call({"symbol": symbol, "side": side}))

    def validate(self, **order: Any) -> Returned:
        """Check an order without placing it."""
        fields = {"order": order}
        return self.run(
            Call("POST", "/orders/validate", order, operation="validate", fields=fields)
        )


class Calls(OrderMethods[Returned]):
    """All calls of a broker by HTTP. Lists take the parameters of their pages, such as `cursor`;
    for `from`, a word of Python, write `from_`."""

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: object
    ) -> Returned:
        """Any call. Only a GET is repeated after a lost connection."""
        repeatable = method == "GET"
        return self.run(Call(method, path, body, _texts(query), repeatable=repeatable))

    def batch(self, items: Iterable[Mapping[str, Any]]) -> Returned:
        """Orders, cancels and replacements in one request. Each order needs a `client_order_id`;
        `cancel` and `replace` have an `order_id`, or a `symbol` and `client_order_id`."""
        return self.run(Call("POST", "/orders/batch", {"items": list(items)}))

    def order(self, order_id: str) -> Returned:
        """An own order."""
        return self._get(f"/orders/{order_id}")

    def orders(self, **query: object) -> Returned:
        """A page of own orders."""
        return self._get("/orders", query)

    def order_trades(self, order_id: str, **query: object) -> Returned:
        """A page of the trades of an own order."""
        return self._get(f"/orders/{order_id}/trades", query)

    def fills(self, **query: object) -> Returned:
        """A page of own fills."""
        return self._get("/fills", query)

    def balance(self, **query: object) -> Returned:
        """Balance in cents, and a page of positions."""
        return self._get("/balance", query)

    def stocks(self, **query: object) -> Returned:
        """A page of symbols."""
        return self._get("/stocks", query)

    def stock(self, symbol: str) -> Returned:
        """A symbol with its rules and newest sequences."""
        return self._get(f"/stocks/{symbol}")

    def price(self, symbol: str) -> Returned:
        """The last price and the average of the last trades."""
        return self._get(f"/stocks/{symbol}/price")

    def depth(self, symbol: str, **query: object) -> Returned:
        """The best levels of the order book."""
        return self._get(f"/stocks/{symbol}/book", query)

    def stock_trades(self, symbol: str, **query: object) -> Returned:
        """A page of public trades."""
        return self._get(f"/stocks/{symbol}/trades", query)

    def candles(self, symbol: str, **query: object) -> Returned:
        """Candles of one interval."""
        return self._get(f"/stocks/{symbol}/candles", query)

    def ticker(self, symbol: str) -> Returned:
        """The ticker of a symbol."""
        return self._get(f"/stocks/{symbol}/ticker")

    def tickers(self, **query: object) -> Returned:
        """The tickers of `symbols`: a text of them with commas, or "*"; at most 500 at once."""
        return self._get("/tickers", query)

    def _get(self, path: str, query: Mapping[str, object] | None = None) -> Returned:
        return self.run(Call("GET", path, query=_texts(query or {})))


def _texts(query: Mapping[str, object]) -> dict[str, str]:
    return {name.rstrip("_"): str(value) for name, value in query.items() if value is not None}
