"""Lines of the client log for each kind of answer."""

import pytest

from loadgen.client.client_log import client_lines
from loadgen.client.record import ABANDONED, NO_ANSWER, TIMED_OUT, Answer, Operation, RequestRecord
from services.audit.client_log import ClientLine


def lines_of(operation: Operation, answer: Answer) -> list[ClientLine]:
    line = RequestRecord(operation, 0, 0, 1, answer, 1, "c-1")
    return list(client_lines([line], ["broker-0", "broker-1"]))


@pytest.mark.parametrize("status", [200, 201, 202])
def test_client_log_order_answered_as_stored_is_acknowledged(status: int) -> None:
    assert lines_of("order", Answer(status, "", "id")) == [
        ClientLine("acknowledged", "broker-1", "c-1", "id")
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(422, "invalid"), "refused"),
        (Answer(503, "not_accepted"), "refused"),
        (Answer(504, "outcome_unknown", "id"), "unknown"),
        (Answer(500, "internal"), "unknown"),
        (Answer(NO_ANSWER), "unknown"),
        (Answer(TIMED_OUT), "unknown"),
        (Answer(ABANDONED), "unknown"),
        (Answer(422, "expired"), "refused"),
        (Answer(201), "unknown"),
    ],
)
def test_client_log_other_answers(answer: Answer, expected: str) -> None:
    assert [line.told for line in lines_of("order", answer)] == [expected]
    assert lines_of("order", answer)[0].order_id == ""


def test_client_log_omits_cancels_and_reused_client_ids() -> None:
    assert lines_of("cancel", Answer(204, "", "id")) == []
    assert lines_of("order", Answer(409, "client_order_id_reused")) == []
