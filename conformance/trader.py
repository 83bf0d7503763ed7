"""A broker's actions and expectations in trading terms, over the seven HTTP calls.

Expectations poll until they hold, up to PATIENCE_S, which no working exchange needs.
"""

import secrets
import string
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any, TypeVar

import pytest

from conformance.api import Answer, Api

T = TypeVar("T")
PATIENCE_S = 30.0
# Of one answer. A slow exchange breaks no rule.
ANSWER_S = 120.0
POLL_S = 0.05
SYMBOL_LENGTH = 10
_LETTERS = string.ascii_uppercase + string.digits
_OK = 200
_PENDING = 202


def expect(what: str, wanted: T, look: Callable[[], T]) -> None:
    """Poll until `look` returns `wanted`; fail with the wanted and the seen value."""
    __tracebackhide__ = True
    deadline = time.monotonic() + PATIENCE_S
    while (seen := look()) != wanted:
        if time.monotonic() > deadline:
            pytest.fail(f"expected {what}: {wanted}. The exchange says: {seen}", pytrace=False)
        time.sleep(POLL_S)


def expect_answer(what: str, answer: Answer, status: int, code: str | None = None) -> Answer:
    """The status, and for a refusal its code."""
    __tracebackhide__ = True
    found = answer.body.get("code") if code is not None and answer.raw else None
    if answer.status != status or (code is not None and found != code):
        wanted = f"{status} {code or ''}".rstrip()
        got = f"{answer.status} {answer.raw[:300].decode(errors='replace')}"
        pytest.fail(f"expected {what}: {wanted}. The exchange answered: {got}", pytrace=False)
    return answer


def in_seconds(seconds: float) -> str:
    """An instant as `valid_until` takes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def at_once(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Run the actions at the same time; their results."""
    with ThreadPoolExecutor(len(actions)) as pool:
        return [doing.result() for doing in [pool.submit(action) for action in actions]]


class Calls(Api):
    """An Api for which a missing answer fails the test."""

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As Api.call; fails the test without an answer."""
        __tracebackhide__ = True
        try:
            return super().call(method, path, body, headers)
        except (OSError, HTTPException) as error:
            message = f"expected an answer to {method} {path}. There was none: {error}"
        pytest.fail(message, pytrace=False)


class Trader:
    """One broker. Orders are known by their id."""

    def __init__(self, api: Api, broker_id: str = "") -> None:
        self.api = api
        self.broker_id = broker_id

    def sell(self, symbol: str, quantity: int, price: int | None = None, **more: Any) -> str:
        """Offer shares, at any price if none is named; the order's id."""
        return self._accepted(self.api.place("ask", symbol, quantity, price, **more))

    def buy(self, symbol: str, quantity: int, price: int | None = None, **more: Any) -> str:
        """Bid for shares, at any price if none is named; the order's id."""
        return self._accepted(self.api.place("bid", symbol, quantity, price, **more))

    def _accepted(self, answer: Answer) -> str:
        __tracebackhide__ = True
        if answer.status != _PENDING:
            expect_answer("the order to be accepted", answer, 201)
        order_id = str(answer.body["order_id"])
        self.order(order_id)
        return order_id

    def order(self, order_id: str) -> dict[str, Any]:
        """One of the trader's own orders. One that was just accepted is waited for."""
        __tracebackhide__ = True
        answers: list[Answer] = []

        def status() -> int:
            answers.append(self.api.get(f"/orders/{order_id}"))
            return answers[-1].status

        expect("its broker to see the order", 200, status)
        return dict(answers[-1].body)

    def settled(self, order_id: str) -> dict[str, Any]:
        """The order once it has left the market, for whatever reason."""
        __tracebackhide__ = True
        expect("the order to leave the market", "closed", lambda: self.order(order_id)["status"])
        return self.order(order_id)

    def cancel(self, order_id: str) -> None:
        """Withdraw the order; it can no longer trade afterwards."""
        __tracebackhide__ = True
        expect("the order to be withdrawn", 204, lambda: self.api.cancel(order_id).status)

    def expect_order(self, order_id: str, what: str, **fields: Any) -> None:
        """The order comes to show these fields."""
        __tracebackhide__ = True

        def look() -> dict[str, Any]:
            order = self.order(order_id)
            return {name: order.get(name) for name in fields}

        expect(what, fields, look)

    def expect_open(self, order_id: str, remaining: int) -> None:
        """The order waits in the market with so many shares left."""
        __tracebackhide__ = True
        self.expect_order(
            order_id,
            "the order to wait in the market",
            status="open",
            closed_reason=None,
            remaining_quantity=remaining,
        )

    def expect_closed(self, order_id: str, reason: str, filled: int) -> None:
        """The order has left the market for this reason, with so many shares traded."""
        __tracebackhide__ = True
        self.expect_order(
            order_id,
            "the order to have left the market",
            status="closed",
            closed_reason=reason,
            filled_quantity=filled,
        )

    def expect_fills(self, order_id: str, *fills: tuple[int, int]) -> None:
        """The order's trades are these, as (shares, price), in the order they happened."""
        __tracebackhide__ = True
        expect(
            "the order to have traded (shares, price)", list(fills), lambda: self.fills(order_id)
        )

    def fills(self, order_id: str) -> list[tuple[int, int]]:
        """The order's trades as (shares, price)."""
        return [(trade["quantity"], trade["price"]) for trade in self.order(order_id)["trades"]]

    def expect_bids(self, symbol: str, *levels: tuple[int, int, int]) -> None:
        """The book's bids are these, as (price, shares, orders), best first."""
        __tracebackhide__ = True
        wanted = list(levels)
        expect("bids (price, shares, orders)", wanted, lambda: self.levels(symbol, "bids"))

    def expect_asks(self, symbol: str, *levels: tuple[int, int, int]) -> None:
        """The book's asks are these, as (price, shares, orders), best first."""
        __tracebackhide__ = True
        wanted = list(levels)
        expect("asks (price, shares, orders)", wanted, lambda: self.levels(symbol, "asks"))

    def levels(self, symbol: str, side: str, query: str = "") -> list[tuple[int, int, int]]:
        """One side of the book as (price, shares, orders)."""
        book = expect_answer("a book", self.api.get(f"/stocks/{symbol}/book{query}"), 200).body
        return [
            (level["price"], level["total_quantity"], level["order_count"]) for level in book[side]
        ]

    def expect_balance(self, cash: int, positions: Mapping[str, int]) -> None:
        """The trader's cash, and the shares of each symbol that are not zero."""
        __tracebackhide__ = True
        expect("cash and shares", (cash, dict(positions)), self.balance)

    def balance(self) -> tuple[int, dict[str, int]]:
        """Cash, and the shares of each symbol that are not zero."""
        body = expect_answer("a balance", self.api.get("/balance"), 200).body
        held = {each["symbol"]: each["quantity"] for each in body["positions"]}
        return body["balance"], {symbol: count for symbol, count in held.items() if count}


class Market:
    """The exchange under judgement."""

    def __init__(
        self, url: str, admin_key: str, client: Callable[[str], Api] | None = None
    ) -> None:
        """`client`: makes that of a broker from its key; by default one over HTTP alone."""
        self.admin = Calls(url, admin_key, ANSWER_S)
        self._client_of_broker = client or self.client

    def offers(self, path: str, method: str = "") -> bool:
        """Return whether the exchange's OpenAPI document, if any, has this path and method."""
        answer = self.client(None).get("/openapi.json")
        paths = answer.body["paths"] if answer.status == _OK else {}
        return path in paths and (not method or method in paths[path])

    def require(self, path: str, method: str = "") -> None:
        """Skip the rule where the exchange lacks the call; by default with any method."""
        if not self.offers(path, method):
            pytest.skip(f"this exchange does not offer {path}")

    def symbol(self) -> str:
        """A random symbol, unused in this run and others."""
        return "".join(secrets.choice(_LETTERS) for _ in range(SYMBOL_LENGTH))

    def set_instrument(self, symbol: str, fields: Mapping[str, Any]) -> None:
        """Give the symbol an instrument, or its instrument other rules."""
        __tracebackhide__ = True
        answer = self.admin.call("PUT", f"/admin/stocks/{symbol}", fields)
        expect_answer("the instrument to be set", answer, 200)

    def set_phase(self, symbol: str, phase: str) -> None:
        """Change the phase of the symbol."""
        __tracebackhide__ = True
        answer = self.admin.call("POST", f"/admin/stocks/{symbol}/phase", {"phase": phase})
        expect_answer("the phase to be set", answer, 200)

    def client(self, key: str | None) -> Api:
        """A client with the given key, or without one."""
        return Calls(self.admin.url, key, ANSWER_S)

    def trader(self, name: str = "Trader") -> Trader:
        """A new broker."""
        registered = self.registered({"name": name})
        return Trader(self._client_of_broker(registered["api_key"]), registered["broker_id"])

    def registered(self, body: Mapping[str, str]) -> dict[str, Any]:
        """The admin's response to a registration."""
        __tracebackhide__ = True
        answer = self.admin.call("POST", "/register", body)
        return dict(expect_answer("the broker to be registered", answer, 201).body)

    def traders(self, count: int) -> list[Trader]:
        """`count` new brokers."""
        return [self.trader(f"Trader {number + 1}") for number in range(count)]
