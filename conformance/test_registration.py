"""Registration and keys"""

import pytest

from conformance.trader import Market, expect_answer

ORDER = "/orders/0199aaaa-0000-7000-8000-00000000000a"
CALLS = {
    "placing": ("POST", "/orders"),
    "an order": ("GET", ORDER),
    "cancelling": ("POST", f"{ORDER}/cancel"),
    "a price": ("GET", "/stocks/PETR4/price"),
    "a book": ("GET", "/stocks/PETR4/book"),
    "a balance": ("GET", "/balance"),
}


def test_registration_by_the_admin_gives_a_key_that_trades(market: Market) -> None:
    """The admin registers a broker, who can trade with the key at once."""
    symbol, trader = market.symbol(), market.trader("Corretora São José")
    trader.expect_open(trader.buy(symbol, 100, 1_000), 100)
    answer = expect_answer("a balance", trader.api.get("/balance"), 200).body
    assert answer["broker_name"] == "Corretora São José", "expected the broker's own name"
    assert answer["broker_id"] == trader.broker_id, "expected the id that registration gave"
    assert answer["balance"] == 0, "expected a new broker to have no cash"


def test_registration_twice_under_one_name_makes_two_brokers(market: Market) -> None:
    """Two brokers may have one name; their ids and keys differ."""
    first, second = market.trader("Same"), market.trader("Same")
    assert first.broker_id != second.broker_id
    assert first.api.key != second.api.key


def test_registration_with_a_brokers_key_is_refused(market: Market) -> None:
    """Only the admin's key registers brokers."""
    answer = market.trader().api.call("POST", "/register", {"name": "Friend"})
    expect_answer("a broker not to register another", answer, 403, "forbidden")


def test_registration_without_a_name_is_refused(market: Market) -> None:
    """A broker needs a name."""
    for body in ({}, {"name": ""}, {"name": 7}, {"name": "x" * 101}):
        answer = market.admin.call("POST", "/register", body)
        expect_answer(f"{body} to be refused", answer, 422, "invalid")
        assert answer.body["errors"][0]["pointer"] == "/name", "expected the fault to be named"


@pytest.mark.parametrize(("method", "path"), CALLS.values(), ids=CALLS.keys())
def test_call_without_a_valid_key_is_refused(market: Market, method: str, path: str) -> None:
    """No call is answered or executed without a valid key."""
    for key in (None, "wrong", "ex_" + "A" * 43):
        answer = market.client(key).call(method, path)
        expect_answer(f"key {key} to be refused", answer, 401, "unauthenticated")
        assert answer.headers["content-type"] == "application/problem+json"
