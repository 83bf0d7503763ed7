"""Orders that a session names by their client order ids."""

from typing import Any

import pytest

from services.api.messages import ProblemError, Response, order_not_found
from tests.support.feed_session import KEY, ORDER, ConnectedClient


@pytest.fixture
def trader() -> ConnectedClient:
    connected = ConnectedClient()
    connected.ask(op="login", key=KEY)
    return connected


def test_orders_of_other_connections_are_found_by_name(trader: ConnectedClient) -> None:
    trader.place("a-1")
    trader.calls.elsewhere = {("PETR4", "a-1"): "other-1", ("PETR4", "b-1"): "other-2"}
    name = {"symbol": "PETR4", "client_order_id": "b-1"}
    trader.send(op="cancel", id=2, **name)
    trader.send(op="replace", id=3, values={"quantity": 7}, **name)
    # The own order, which may be under way, comes first.
    trader.send(op="cancel", id=4, **name | {"client_order_id": "a-1"})
    assert trader.calls.sent[1:] == [
        ("cancel", "other-2"),
        ("replace", "other-2 7"),
        ("cancel", "order-a-1"),
    ]
    assert trader.session.in_flight == 4
    assert trader.ask(op="cancel", **name | {"client_order_id": "never"})["status"] == 404
    assert trader.calls.charged == [("cancels", 9)]


def test_order_that_has_to_be_looked_up_is_changed_once_it_is_found(
    trader: ConnectedClient,
) -> None:
    trader.calls.elsewhere = {("PETR4", "b-1"): None}
    name = {"symbol": "PETR4", "client_order_id": "b-1"}
    trader.send(op="cancel", id=2, **name)
    trader.send(op="replace", id=3, values={"quantity": 7}, **name)
    trader.send(op="cancel", id=4, **name)
    assert (trader.calls.sent, trader.session.in_flight) == ([], 3)
    cancel, replace, again = trader.calls.searches
    cancel("other-2")
    replace("other-2")
    again(ProblemError("not_accepted", "PostgreSQL is away"))
    assert trader.calls.sent == [("cancel", "other-2"), ("replace", "other-2 7")]
    statuses = {each["id"]: each["status"] for each in trader.output.of_type("response")}
    assert (statuses[4], trader.session.in_flight) == (503, 2)
    trader.calls.refusal = ProblemError("not_accepted", "the log is full")
    trader.send(op="replace", id=5, values={"quantity": 7}, **name)
    trader.calls.searches[-1]("other-2")
    assert trader.session.in_flight == 2


def test_own_order_under_way_is_not_replaced(trader: ConnectedClient) -> None:
    trader.place("a-1")
    assert trader.ask(op="replace", order_id="order-a-1", values={"quantity": 7})["status"] == 503
    assert trader.calls.sent == [("place", "a-1")]
    trader.calls.known.add("order-a-1")
    trader.send(op="replace", id=2, order_id="ORDER-a-1", values={"quantity": 7})
    assert trader.calls.sent[-1] == ("replace", "order-a-1 7")


def test_batch_items_name_orders_as_single_operations_do(trader: ConnectedClient) -> None:
    trader.calls.elsewhere = {("PETR4", "b-1"): "other-1"}
    name = {"symbol": "PETR4", "client_order_id": "b-1"}
    items: list[dict[str, Any]] = [
        {"place": ORDER | {"client_order_id": "a-1"}},
        {"cancel": name | {"client_order_id": "a-1"}},
        {"cancel": name},
        {"replace": name | {"quantity": 7}},
        {"cancel": name | {"client_order_id": "never"}},
    ]
    trader.send(op="batch", id=5, items=items)
    sent = [("place", "a-1"), ("cancel", "order-a-1"), ("cancel", "other-1")]
    assert trader.calls.sent == [*sent, ("replace", "other-1 7")]
    for reply in trader.calls.replies:
        reply(Response(204))
    (response,) = trader.output.of_type("response")[1:]
    assert [each["status"] for each in response["results"]] == [204, 204, 204, 204, 404]


def test_cancel_sent_behind_a_repeated_order_cancels_its_first_attempt(
    trader: ConnectedClient,
) -> None:
    trader.place("a-1")
    name = {"symbol": "PETR4", "client_order_id": "a-1"}
    trader.send(op="cancel", id=2, **name)
    trader.send(op="batch", id=3, items=[{"cancel": name}])
    place, cancel, of_batch = trader.calls.replies
    place(Response(200, headers=(("Location", "/orders/first-1"),)))
    cancel(order_not_found())
    of_batch(order_not_found())
    assert trader.calls.sent[1:] == [("cancel", "order-a-1")] * 2 + [("cancel", "first-1")] * 2
    assert trader.session.in_flight == 2
    trader.calls.replies[3](Response(204))
    # The order itself is unknown: no further attempt.
    trader.calls.replies[4](order_not_found())
    statuses = {each["id"]: each for each in trader.output.of_type("response")}
    assert statuses[2]["status"] == 204
    assert [each["status"] for each in statuses[3]["results"]] == [404]
    assert trader.session.in_flight == 0
    assert len(trader.calls.sent) == 5
