"""Answers of sessions that the orders of the exchange contradict are found."""

from collections.abc import Collection, Mapping

import pytest

from tests.chaos.session_answers import WRONG_CLOCK, Answer, contradicted

EXPLAINED = (WRONG_CLOCK,)


def found(
    answer: Answer, refusals: Mapping[str, str], explained: Collection[str], placed: bool = False
) -> list[str]:
    return list(contradicted({"c": answer}, {"c"} if placed else (), refusals, explained))


def done(status: int) -> Answer:
    return Answer("done", 921.34, status, "o")


@pytest.mark.parametrize("status", [200, 201, 202])
def test_answer_of_an_order_that_is_there_is_true(status: int) -> None:
    # A record of it that a foreign writer repeated was refused.
    assert found(done(status), {"o": WRONG_CLOCK}, EXPLAINED, placed=True) == []


@pytest.mark.parametrize("status", [200, 201, 202])
def test_answer_of_an_order_that_is_not_there_is_found_with_its_status_and_time(
    status: int,
) -> None:
    (line,) = found(done(status), {}, EXPLAINED)
    assert (
        f"c was answered done {status} after 921.3 s of trading and is no order: o, without" in line
    )


def test_only_an_explained_refusal_may_follow_a_202() -> None:
    assert found(done(202), {"o": WRONG_CLOCK}, EXPLAINED) == []
    assert found(done(202), {"another": WRONG_CLOCK}, EXPLAINED)[0].endswith("without a refusal")
    for status, refusals, explained in [
        (202, {"o": "too_many_open_orders"}, EXPLAINED),
        (202, {"o": WRONG_CLOCK}, ()),
        (201, {"o": WRONG_CLOCK}, EXPLAINED),
        (200, {"o": WRONG_CLOCK}, EXPLAINED),
    ]:
        (line,) = found(done(status), refusals, explained)
        assert line.endswith(f"is no order: o, refused with {refusals['o']}")


def test_refused_order_that_is_there_is_found() -> None:
    refused = Answer("refused invalid", 1.0)
    assert found(refused, {}, ()) == []
    assert found(refused, {}, (), placed=True) == [
        "c was answered refused invalid after 1.0 s of trading and is an order"
    ]


@pytest.mark.parametrize("outcome", ["unknown", "not sent"])
def test_order_without_an_answer_may_be_there_or_not(outcome: str) -> None:
    for placed in (False, True):
        assert found(Answer(outcome, 1.0), {}, (), placed=placed) == []
