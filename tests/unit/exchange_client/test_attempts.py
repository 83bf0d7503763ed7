"""The retry policy: repeated within the deadline, and truthful about what may have happened."""

import pytest

from exchange_client.attempts import Attempts
from exchange_client.calls import Call, place_call
from exchange_client.errors import OutcomeUnknownError, RefusedError, UnavailableError

PLACE = place_call({"symbol": "PETR4", "client_order_id": "a-1"}, None, "outcome")
QUERY = Call("GET", "/balance")
REGISTER = Call("POST", "/register", repeatable=False)
BUSY = {"code": "not_accepted"}
UNKNOWN = {"code": "outcome_unknown"}


def attempts(call: Call = PLACE, deadline: float = 10.0) -> Attempts:
    return Attempts(call, deadline, draw=lambda: 1.0)


def test_waits_double_up_to_two_seconds() -> None:
    tries = attempts()
    assert [tries.failed("lost", 0.0, sent=True) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_ends_the_call(status: int) -> None:
    assert attempts().answered(status, {}, 0.0) is None


def test_longer_wait_of_the_server_is_honoured() -> None:
    assert attempts().answered(429, {"code": "rate_limited"}, 0.0, retry_after_s=3.0) == 3.0


def test_wait_beyond_the_deadline_ends_the_call_at_once() -> None:
    with pytest.raises(UnavailableError):
        attempts().answered(503, BUSY, 0.0, retry_after_s=11.0)


def test_call_that_was_only_refused_for_now_had_no_effect() -> None:
    tries = attempts()
    tries.answered(503, BUSY, 0.0)
    tries.failed("cannot connect", 1.0, sent=False)
    with pytest.raises(UnavailableError):
        tries.answered(503, BUSY, 9.99)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_error_leaves_the_outcome_open(status: int) -> None:
    tries = attempts()
    # The body of a proxy, even with 503, does not say that nothing took effect.
    tries.answered(status, UNKNOWN if status == 504 else {}, 0.0)
    with pytest.raises(OutcomeUnknownError) as unknown:
        tries.answered(503, BUSY, 9.99)
    assert unknown.value.client_order_id == "a-1"


def test_refusal_at_the_door_after_a_lost_attempt_leaves_the_outcome_open() -> None:
    tries = attempts()
    tries.failed("lost", 0.0, sent=True)
    with pytest.raises(OutcomeUnknownError):
        tries.answered(401, {"code": "unauthenticated"}, 1.0)


@pytest.mark.parametrize("status", [404, 409])
def test_decision_after_a_lost_attempt_is_final(status: int) -> None:
    tries = attempts()
    tries.failed("lost", 0.0, sent=True)
    with pytest.raises(RefusedError):
        tries.answered(status, {"code": "client_order_id_reused"}, 1.0)


def test_request_without_an_id_is_never_repeated_after_it_was_sent() -> None:
    assert attempts(REGISTER).failed("cannot connect", 0.0, sent=False) == 0.1
    with pytest.raises(OutcomeUnknownError):
        attempts(REGISTER).failed("lost", 0.0, sent=True)
    with pytest.raises(OutcomeUnknownError):
        attempts(REGISTER).answered(504, UNKNOWN, 0.0)


def test_query_has_no_effect_to_doubt() -> None:
    tries = attempts(QUERY, deadline=1.0)
    tries.failed("lost", 0.0, sent=True)
    with pytest.raises(UnavailableError):
        tries.failed("lost", 0.99, sent=True)


def test_attempt_leaves_time_for_another() -> None:
    assert attempts().time_limit_s(0.0) == 5.0
    assert attempts().time_limit_s(8.0) == 2.0


def test_order_without_an_id_gets_one() -> None:
    first, second = (place_call({"symbol": "PETR4"}, None, "outcome") for _ in range(2))
    assert first.client_order_id != second.client_order_id
    assert first.body is not None
    assert first.body["client_order_id"] == first.client_order_id
