"""Lines of the client log for each kind of answer."""

import pytest
from msgspec import structs

from loadgen.client.client_log import client_lines
from loadgen.client.record import (
    ABANDONED,
    NO_ANSWER,
    TIMED_OUT,
    Operation,
    RequestRecord,
    RequestResult,
)
from services.audit.client_log import ClientLine


def lines_of(operation: Operation, answer: RequestResult) -> list[ClientLine]:
    line = RequestRecord(operation, 0, 0, 1, answer, 1, "c-1")
    return list(client_lines([line], ["broker-0", "broker-1"]))


@pytest.mark.parametrize("status", [200, 201, 202])
def test_client_log_order_answered_as_stored_is_acknowledged(status: int) -> None:
    assert lines_of("order", RequestResult(status, "", "id")) == [
        ClientLine("acknowledged", "broker-1", "c-1", "id")
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (RequestResult(422, "invalid"), "refused"),
        (RequestResult(503, "not_accepted"), "refused"),
        (RequestResult(504, "outcome_unknown", "id"), "unknown"),
        (RequestResult(500, "internal"), "unknown"),
        (RequestResult(NO_ANSWER), "unknown"),
        (RequestResult(TIMED_OUT), "unknown"),
        (RequestResult(ABANDONED), "unknown"),
        (RequestResult(422, "expired"), "refused"),
        (RequestResult(201), "unknown"),
    ],
)
def test_client_log_other_answers(answer: RequestResult, expected: str) -> None:
    assert [line.result for line in lines_of("order", answer)] == [expected]
    assert lines_of("order", answer)[0].order_id == ""


@pytest.mark.parametrize(
    ("refusal", "results"),
    [
        (RequestResult(422, "invalid"), ["unknown", "refused"]),
        (RequestResult(400, "malformed_json"), ["unknown", "refused"]),
        (RequestResult(503, "not_accepted"), ["unknown"]),
        (RequestResult(429, "too_many_requests"), ["unknown"]),
        (RequestResult(401, "unauthenticated"), ["unknown"]),
    ],
)
def test_client_log_after_an_unknown_answer_has_refusals_of_the_order_only(
    refusal: RequestResult, results: list[str]
) -> None:
    attempts = [
        RequestRecord("order", 0, 0, 1, answer, 1, "c-1")
        for answer in (RequestResult(504, "outcome_unknown", "id"), refusal)
    ]
    assert [line.result for line in client_lines(attempts, ["broker-0", "broker-1"])] == results
    # An order of another broker with the same client order id is another order.
    attempts[1] = structs.replace(attempts[1], broker=0)
    assert [line.result for line in client_lines(attempts, ["b", "b"])] == ["unknown", "refused"]


def test_client_log_omits_cancels_and_reused_client_ids() -> None:
    assert lines_of("cancel", RequestResult(204, "", "id")) == []
    assert lines_of("order", RequestResult(409, "client_order_id_reused")) == []
