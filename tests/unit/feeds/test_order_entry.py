"""Orders over a feed session, and the cancels at its end."""

from collections import Counter

import pytest

from services.api.messages import UNKNOWN_ORDER_TOKENS, ProblemError, Response, order_not_found
from services.feeds import order_entry
from services.feeds.session import OPERATIONS_BURST
from services.ingest.prefer import Preferences
from tests.support.feed_session import KEY, ORDER, ConnectedClient
from tests.support.reader_outcomes import ALICE


@pytest.fixture
def connected_only() -> ConnectedClient:
    """A client that has not logged in."""
    return ConnectedClient()


@pytest.fixture
def trader() -> ConnectedClient:
    """A client that has logged in, with cancel on disconnect."""
    connected = ConnectedClient()
    connected.ask(op="login", key=KEY, cancel_on_disconnect=True)
    return connected


def test_order_needs_a_login() -> None:
    connected = ConnectedClient()
    assert connected.ask(op="place", order=ORDER)["status"] == 401
    assert connected.calls.sent == []


def test_orders_are_sent_in_order_and_answered_as_outcomes_come(trader: ConnectedClient) -> None:
    for number in (1, 2, 3):
        trader.place(f"a-{number}", number)
    trader.send(op="cancel", id=4, symbol="PETR4", client_order_id="a-2")
    sent = [("place", "a-1"), ("place", "a-2"), ("place", "a-3"), ("cancel", "order-a-2")]
    assert trader.calls.sent == sent
    trader.calls.replies[1](Response(201, b'{"order_id":"two"}'))
    trader.calls.replies[0](Response(202, b'{"order_id":"one"}'))
    trader.calls.replies[3](Response(204))
    trader.calls.replies[2](ProblemError("client_order_id_reused", "taken"))
    answers = trader.output.of_type("response")[-4:]
    assert answers[0] == {"type": "response", "id": 2, "status": 201, "order": {"order_id": "two"}}
    assert (answers[1]["id"], answers[1]["pending"]) == (1, {"order_id": "one"})
    assert answers[2] == {"type": "response", "id": 4, "status": 204}
    assert (answers[3]["id"], answers[3]["problem"]["code"]) == (3, "client_order_id_reused")
    assert trader.calls.spent == ["orders"] * 3 + ["cancels"]


def test_orders_end_with_the_session_only_while_its_login_asks_for_it() -> None:
    connected = ConnectedClient()
    connected.ask(op="login", key=KEY)
    connected.place("a-1")
    connected.ask(op="login", key=KEY, cancel_on_disconnect=True)
    connected.place("a-2")
    item = {"place": ORDER | {"client_order_id": "a-3"}}
    connected.send(op="batch", id=5, items=[item])
    connected.ask(op="logout")
    connected.ask(op="login", key=KEY)
    connected.place("a-4")
    assert connected.calls.of_session == ["a-2", "a-3"]


def test_replacement_is_sent_behind_the_order_that_it_names(trader: ConnectedClient) -> None:
    trader.place("a-1")
    trader.calls.known.add("order-a-1")
    trader.send(op="replace", id=2, symbol="PETR4", client_order_id="a-1", values={"quantity": 7})
    assert trader.calls.sent == [("place", "a-1"), ("replace", "order-a-1 7")]
    assert trader.calls.spent == ["orders", "orders"]
    trader.calls.replies[1](Response(200, b'{"quantity":7}'))
    assert trader.output.of_type("response")[-1]["order"] == {"quantity": 7}
    trader.send(op="replace", id=3, order_id="order-a-1", values={})
    assert trader.output.of_type("response")[-1]["problem"]["code"] == "invalid"
    trader.calls.refusal = ProblemError("not_accepted", "no outcome yet")
    trader.send(op="replace", id=4, order_id="order-a-1", values={"price": 7})
    assert trader.output.of_type("response")[-1]["status"] == 503


def test_cancel_of_all_is_sent_behind_the_orders_before_it(trader: ConnectedClient) -> None:
    trader.place("a-1")
    trader.send(op="cancel_all", id=2, symbol="PETR4", side="bid")
    trader.send(op="cancel_all", id=3)
    trader.place("a-2", 4)
    assert [name for name, _ in trader.calls.sent] == ["place", *["cancel_all"] * 2, "place"]
    assert [what for name, what in trader.calls.sent[1:3]] == ["PETR4 bid", "None None"]
    assert trader.calls.spent == ["orders", "cancels", "cancels", "orders"]
    trader.calls.replies[2](Response(202, b'{"cancelled_count":1}'))
    trader.calls.replies[1](Response(200, b'{"cancelled_count":2}'))
    first, second = trader.output.of_type("response")[-2:]
    assert first == {"type": "response", "id": 3, "status": 202} | {
        "cancelled": {"cancelled_count": 1}
    }
    assert (second["status"], second["cancelled"]) == (200, {"cancelled_count": 2})
    trader.calls.refusal = ProblemError("not_accepted", "the log is away")
    assert trader.ask(op="cancel_all")["problem"]["code"] == "not_accepted"
    assert trader.ask(op="cancel_all", side="buy")["status"] == 422
    assert trader.ask(op="cancel_all", symbol="a")["status"] == 422
    assert trader.calls.sent[4:] == []


def test_cancels_of_all_count_among_the_requests_in_flight(trader: ConnectedClient) -> None:
    for number in range(order_entry.IN_FLIGHT_MAX):
        trader.send(op="cancel_all", id=number + 2)
    assert trader.ask(op="cancel_all")["status"] == 429
    trader.calls.replies[0](Response(200, b"{}"))
    trader.send(op="cancel_all", id=1)
    assert len(trader.calls.sent) == order_entry.IN_FLIGHT_MAX + 1


def test_validation_places_nothing(trader: ConnectedClient) -> None:
    found = trader.ask(op="validate", order=ORDER)
    assert (found["status"], found["valid"]) == (200, {"symbol": "PETR4"})
    refused = trader.ask(op="validate", order=ORDER | {"price": 0})
    assert (refused["status"], refused["problem"]["errors"][0]["pointer"]) == (422, "/price")
    assert trader.calls.sent == []
    assert trader.calls.spent == ["orders"] * 2


@pytest.mark.parametrize("op", ["cancel_all", "validate"])
def test_operation_of_orders_needs_a_login(connected_only: ConnectedClient, op: str) -> None:
    order = {"order": ORDER} if op == "validate" else {}
    assert connected_only.ask(op=op, **order)["status"] == 401


CANCEL = "019f2ac4-93e0-7c00-8000-000000000001"


def test_batch_is_sent_in_the_order_of_its_items_and_answered_once(trader: ConnectedClient) -> None:
    items = [{"place": ORDER}, {"cancel": {"order_id": CANCEL.upper()}}]
    items.append({"place": ORDER | {"client_order_id": "a-2"}})
    items.append({"replace": {"order_id": CANCEL, "quantity": 7}})
    trader.send(op="batch", id=5, items=items, wait_s=3)
    trader.place("a-3", 6)
    sent = [("place", "a-1"), ("cancel", CANCEL), ("place", "a-2"), ("replace", f"{CANCEL} 7")]
    assert trader.calls.sent == [*sent, ("place", "a-3")]
    assert trader.calls.spent == ["orders", "cancels", "orders", "orders", "orders"]
    assert {each.wait_s for each in trader.calls.preferences} == {3, None}
    trader.calls.replies[2](ProblemError("client_order_id_reused", "taken"))
    trader.calls.replies[1](Response(204))
    trader.calls.replies[3](Response(200, b'{"quantity":7}'))
    assert len(trader.output.of_type("response")) == 1
    trader.calls.replies[0](Response(201, b'{"order_id":"one"}'))
    answer = trader.output.of_type("response")[-1]
    assert (answer["id"], answer["status"]) == (5, 200)
    first, second, third, fourth = answer["results"]
    assert fourth == {"status": 200, "order": {"quantity": 7}}
    assert first == {"status": 201, "order": {"order_id": "one"}}
    assert second == {"status": 204}
    assert (third["status"], third["problem"]["code"]) == (409, "client_order_id_reused")


def test_batch_item_without_budget_has_its_own_problem(trader: ConnectedClient) -> None:
    trader.calls.refusal = ProblemError("not_accepted", "away")
    answer = trader.ask(op="batch", items=[{"place": ORDER}])
    assert answer["status"] == 200
    assert [each["status"] for each in answer["results"]] == [503]


@pytest.mark.parametrize(
    "items",
    [
        [],
        [{}],
        [{"place": ORDER, "cancel": {"order_id": CANCEL}}],
        [{"place": {name: v for name, v in ORDER.items() if name != "client_order_id"}}],
        [{"cancel": {"order_id": CANCEL}}] * 101,
        "PETR4",
        None,
    ],
)
def test_batch_with_a_fault_sends_nothing(trader: ConnectedClient, items: object) -> None:
    assert trader.ask(op="batch", items=items)["status"] == 422
    assert trader.calls.sent == []
    assert trader.calls.spent == ["orders"]


def test_batch_beyond_the_requests_in_flight_sends_nothing(trader: ConnectedClient) -> None:
    trader.place("a-9")
    items = [{"cancel": {"order_id": CANCEL}}] * order_entry.IN_FLIGHT_MAX
    assert trader.ask(op="batch", items=items)["status"] == 429
    assert len(trader.calls.sent) == 1
    trader.send(op="batch", id=2, items=items[1:])
    assert len(trader.calls.sent) == order_entry.IN_FLIGHT_MAX


def test_preferences_of_an_operation_are_those_of_http(trader: ConnectedClient) -> None:
    trader.place("a-1", wait_s=3)
    trader.place("a-2", respond="stored")
    assert trader.calls.preferences == [Preferences(wait_s=3), Preferences(respond_async=True)]


@pytest.mark.parametrize(
    "order",
    [
        {name: value for name, value in ORDER.items() if name != "client_order_id"},
        ORDER | {"price": 0},
        ORDER | {"unknown": 1},
        {},
        [],
    ],
)
def test_unacceptable_order_is_answered_422_and_not_sent(
    trader: ConnectedClient, order: object
) -> None:
    answer = trader.ask(op="place", order=order)
    assert (answer["status"], answer["problem"]["code"]) == (422, "invalid")
    assert trader.calls.sent == []


def test_orders_beyond_the_bound_in_flight_are_answered_429(
    trader: ConnectedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_entry, "IN_FLIGHT_MAX", 2)
    trader.calls.refusal = ProblemError("not_accepted", "away")
    for _ in range(3):
        assert trader.ask(op="place", order=ORDER)["status"] == 503
    trader.calls.refusal = None
    trader.place("a-1")
    trader.place("a-2")
    assert trader.ask(op="place", order=ORDER)["status"] == 429
    trader.calls.replies[0](Response(201, b"{}"))
    trader.place("a-3")
    assert len(trader.calls.sent) == 3


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"symbol": "PETR4"}, 422),
        ({"symbol": "PETR4", "client_order_id": "never"}, 404),
    ],
)
def test_cancel_without_an_order_is_refused(
    trader: ConnectedClient, fields: dict[str, object], status: int
) -> None:
    assert trader.ask(op="cancel", **fields)["status"] == status
    trader.place("a-1")
    assert len(trader.calls.sent) == 1


def test_id_of_an_operation_in_flight_is_refused_and_its_response_still_comes(
    trader: ConnectedClient,
) -> None:
    trader.place("a-1", 7)
    refused = trader.ask(id=7, op="ping")
    assert (refused["status"], refused["problem"]["code"]) == (409, "request_id_in_flight")
    trader.place("a-2", 7)
    assert trader.ask(id=7, op="nothing")["status"] == 422
    assert trader.ask(id="7", op="ping")["status"] == 200
    trader.calls.replies[0](Response(201, b"{}", (("Location", "/orders/order-a-1"),)))
    assert trader.ask(id=7, op="ping")["status"] == 200
    statuses = [each["status"] for each in trader.output.of_type("response") if each["id"] == 7]
    assert statuses == [409, 409, 422, 201, 200]
    assert trader.calls.sent == [("place", "a-1")]


def test_repeated_ids_are_limited(trader: ConnectedClient) -> None:
    trader.place("a-1", 7)
    for _ in range(OPERATIONS_BURST):
        trader.place("a-2", 7)
    statuses = Counter(each["status"] for each in trader.output.of_type("response"))
    assert statuses == {200: 1, 409: OPERATIONS_BURST - 1, 429: 1}


def test_unknown_order_costs_its_budget_more(trader: ConnectedClient) -> None:
    for request_id, op in enumerate(("cancel", "replace"), start=1):
        values = {"values": {"quantity": 2}} if op == "replace" else {}
        trader.send(op=op, id=request_id, order_id="00000000-0000-7000-8000-000000000001", **values)
        trader.calls.replies[-1](order_not_found())
    assert trader.calls.charged == [
        ("cancels", UNKNOWN_ORDER_TOKENS),
        ("orders", UNKNOWN_ORDER_TOKENS),
    ]


def test_end_of_the_connection_cancels_its_orders_that_may_be_open(
    trader: ConnectedClient,
) -> None:
    for name in ("a-1", "a-2", "a-3"):
        trader.place(name)
    trader.calls.closed.add("order-a-2")
    trader.session.end()
    trader.session.end()
    assert trader.calls.sent[3:] == [("withdraw", "order-a-1"), ("withdraw", "order-a-3")]


def test_end_after_logout_or_without_the_wish_cancels_nothing(trader: ConnectedClient) -> None:
    trader.place("a-1")
    trader.ask(op="logout")
    trader.session.end()
    other = ConnectedClient()
    other.ask(op="login", key=KEY)
    other.place("a-1")
    other.session.end()
    assert (len(trader.calls.sent), len(other.calls.sent)) == (1, 1)


def created(order_id: str, status: int = 201) -> Response:
    return Response(status, b"{}", (("Location", f"/orders/{order_id}"),))


def test_end_cancels_nothing_that_left_memory_after_its_answer(trader: ConnectedClient) -> None:
    for name in ("a-1", "a-2", "a-3"):
        trader.place(name)
    trader.calls.replies[0](created("order-a-1"))
    trader.calls.replies[1](created("order-a-2", 202))
    trader.session.end()
    assert trader.calls.sent[3:] == [("withdraw", "order-a-2"), ("withdraw", "order-a-3")]


def test_repeated_order_goes_by_the_id_that_its_answer_names(trader: ConnectedClient) -> None:
    trader.place("a-1")
    trader.calls.replies[0](ProblemError("not_accepted", "away"))
    trader.place("a-1")
    trader.calls.replies[1](created("order-of-before", 200))
    trader.send(op="cancel", id=4, symbol="PETR4", client_order_id="a-1")
    assert trader.calls.sent[-1] == ("cancel", "order-of-before")
    # It was not placed on this connection, so its end is no matter of it.
    trader.calls.known.add("order-of-before")
    trader.session.end()
    assert trader.calls.sent[-1] == ("cancel", "order-of-before")


def test_order_of_an_unknown_outcome_is_cancelled_at_the_end(trader: ConnectedClient) -> None:
    trader.place("a-1")
    trader.calls.replies[0](ProblemError("outcome_unknown", "late"))
    trader.session.end()
    assert trader.calls.sent[-1] == ("withdraw", "order-a-1")


def test_closed_orders_are_forgotten(
    trader: ConnectedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = trader.session._orders
    monkeypatch.setattr(entry, "_forget_at", 3)
    monkeypatch.setattr(order_entry, "REMEMBERED_MAX", 3)
    for number in range(40):
        trader.place(f"a-{number}")
        trader.calls.replies[-1](created(f"order-a-{number}"))
    assert len(entry._placed) <= 4
    assert len(entry._by_name) <= 4


def test_operations_without_a_login_are_limited(connected_only: ConnectedClient) -> None:
    statuses = [connected_only.ask(op="place", order=ORDER)["status"] for _ in range(101)]
    assert statuses == [401] * 100 + [429]


def test_unacceptable_operations_are_limited(connected_only: ConnectedClient) -> None:
    statuses = [connected_only.ask(op="ping", unknown=1)["status"] for _ in range(101)]
    assert statuses == [422] * 100 + [429]


def test_end_of_a_session_is_logged_with_the_session_and_the_number_of_its_orders(
    trader: ConnectedClient, caplog: pytest.LogCaptureFixture
) -> None:
    trader.place("a-1")
    trader.place("a-2", 2)
    with caplog.at_level("INFO"):
        trader.session.end()
        trader.session.end()
    (record,) = caplog.records
    fields = {"session": "desk/boot/1", "broker_id": ALICE, "orders": 2}
    assert record.__dict__["fields"] == fields
