"""Orders that are refused"""

from typing import Any

import pytest

from conformance.trader import Market, expect_answer

GOOD = {"document_number": "12345678901", "side": "bid", "price": 1_000, "quantity": 10}
MISSING = object()
BAD: dict[str, tuple[str, Any]] = {
    "a price of zero": ("price", 0),
    "a price with a fraction": ("price", 10.5),
    "a price as text": ("price", "1000"),
    "a price over the bound": ("price", 1_000_000_001),
    "a limit without a price": ("price", MISSING),
    "no shares": ("quantity", 0),
    "fewer than no shares": ("quantity", -1),
    "half a share": ("quantity", 0.5),
    "true as a quantity": ("quantity", True),
    "too many shares": ("quantity", 1_000_000_001),
    "an unknown side": ("side", "buy"),
    "an unknown type": ("order_type", "trailing"),
    "a symbol in small letters": ("symbol", "petr4"),
    "a long symbol": ("symbol", "A" * 11),
    "a symbol that paths lose": ("symbol", ".."),
    "no document": ("document_number", MISSING),
    "a long document": ("document_number", "1" * 21),
    "a validity in the past": ("valid_until", "2020-01-01T00:00:00Z"),
    "a validity without a zone": ("valid_until", "2099-01-01T00:00:00"),
    "a client order id with a space": ("client_order_id", "my order"),
    "a field that there is not": ("colour", "red"),
}


@pytest.mark.parametrize(("field", "value"), BAD.values(), ids=BAD.keys())
def test_order_with_a_fault_is_refused(market: Market, field: str, value: object) -> None:
    """A faulty order is refused, its fault named, and nothing gets into the market."""
    symbol, trader = market.symbol(), market.trader()
    order = {**GOOD, "symbol": symbol, field: value}
    answer = trader.api.call(
        "POST", "/orders", {name: each for name, each in order.items() if each is not MISSING}
    )
    expect_answer("the order to be refused", answer, 422, "invalid")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/{field}"]
    trader.expect_bids(symbol)


def test_market_order_with_a_price_is_refused(market: Market) -> None:
    """A market order has no price."""
    symbol, trader = market.symbol(), market.trader()
    answer = trader.api.place("bid", symbol, 10, 100, order_type="market")
    expect_answer("a price on a market order to be refused", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/price"]


def test_order_with_many_faults_has_all_of_them_reported(market: Market) -> None:
    """The answer lists every fault of an order."""
    answer = market.trader().api.call("POST", "/orders", {"side": "up", "quantity": 0})
    expect_answer("the order to be refused", answer, 422, "invalid")
    named = {fault["pointer"] for fault in answer.body["errors"]}
    assert named >= {"/side", "/quantity", "/symbol", "/document_number"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]x", b"\xff"], ids=["none", "half", "more", "ff"])
def test_body_that_is_not_json_is_refused(market: Market, body: bytes) -> None:
    """A body that is not JSON is refused with its own code."""
    answer = market.trader().api.call("POST", "/orders", body)
    expect_answer("the body to be refused", answer, 400, "malformed_json")
