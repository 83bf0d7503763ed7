"""Requests of an order session: their order, and what a new connection repeats."""

import json
from typing import Any

from exchange_client.calls import Call, cancel_all_call, place_call
from exchange_client.errors import RefusedError
from exchange_client.session_state import SessionResponse, SessionState

CANCEL = Call("POST", "", operation="cancel", fields={"symbol": "PETR4", "client_order_id": "a-1"})


def place(name: str) -> Call:
    return place_call({"symbol": "PETR4", "client_order_id": name}, None, "outcome")


class Gateway:
    """A scripted gateway: takes the sent messages, and answers them."""

    def __init__(self, state: SessionState) -> None:
        self.state = state
        self.received: list[dict[str, Any]] = []

    def greet(self, status: int = 200, code: str = "") -> None:
        self.say({"type": "hello", "log": "L"})
        login = self.read()[0]
        assert login["op"] == "login"
        self.answer(login, status, problem={"code": code})

    def read(self) -> list[dict[str, Any]]:
        found = [json.loads(text) for text in self.state.outgoing]
        self.state.outgoing.clear()
        self.received += found
        return found

    def say(self, message: dict[str, Any]) -> None:
        self.state.received(json.dumps(message), 0.0)

    def answer(self, request: dict[str, Any], status: int, **more: Any) -> None:
        self.say({"type": "response", "id": request["id"], "status": status} | more)


def session() -> tuple[SessionState, Gateway]:
    state = SessionState("mx_key", cancel_on_disconnect=True)
    return state, Gateway(state)


def test_login_precedes_every_request() -> None:
    state, gateway = session()
    state.request(place("a-1"))
    assert not state.outgoing
    gateway.greet()
    state.request(CANCEL)
    assert [each["op"] for each in gateway.read()] == ["place", "cancel"]
    assert gateway.received[0]["cancel_on_disconnect"] is True


def test_new_connection_repeats_what_has_no_response_in_its_order() -> None:
    state, gateway = session()
    gateway.greet()
    tickets = [state.request(place(name)) for name in ("a-1", "a-2", "a-3")]
    first, second, third = gateway.read()
    gateway.answer(second, 201, order={"order_id": "2"})
    state.lost("reset")
    gateway.greet()
    assert [each["order"]["client_order_id"] for each in gateway.read()] == ["a-1", "a-3"]
    assert [ticket.times_sent for ticket in tickets] == [2, 1, 2]
    # Ids of an earlier connection mean nothing any more.
    gateway.answer(third, 201, order={"order_id": "9"})
    assert [each.ticket for each in state.responses] == [tickets[1]]
    assert first["id"] not in {each["id"] for each in gateway.received[4:]}


def test_cancel_of_all_and_validation_have_their_bodies() -> None:
    state = SessionState("mx_key", cancel_on_disconnect=False)
    found = {}
    for name, status in (("cancelled", 202), ("valid", 200), ("problem", 422)):
        message = {"type": "response", "id": 1, "status": status, name: {"name": name}}
        found[name] = SessionResponse(state.request(cancel_all_call({})), status, message).body
    assert found == {name: {"name": name} for name in found}
    call = cancel_all_call({"symbol": "A", "side": None})
    assert (call.operation, call.fields, call.query) == ("cancel_all", {"symbol": "A"}, call.fields)


def test_cancel_by_name_is_sent_by_id_once_the_id_is_known() -> None:
    state, gateway = session()
    gateway.greet()
    state.request(place("a-1"))
    state.request(CANCEL)
    order, by_name = gateway.read()
    assert by_name["client_order_id"] == "a-1"
    gateway.answer(order, 201, order={"order_id": "77"})
    state.lost("reset")
    gateway.greet()
    assert [each.get("order_id") for each in gateway.read()] == ["77"]


def test_forgotten_request_is_not_repeated() -> None:
    state, gateway = session()
    state.forget(state.request(place("a-1")))
    gateway.greet()
    assert gateway.read() == []


def test_refused_key_ends_the_session_for_good() -> None:
    state, gateway = session()
    gateway.greet(401, "unauthenticated")
    assert isinstance(state.error, RefusedError)


def test_login_that_is_refused_for_now_asks_for_another_connection() -> None:
    state, gateway = session()
    gateway.greet(429, "rate_limited")
    assert state.error is None
    assert state.must_reconnect
