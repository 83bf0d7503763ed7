"""Answers to the placings of one broker, and which of them the orders of the exchange contradict.

Pure.
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

STORED = 202
# Refused behind a 202, because the clock of the gateway that made the order's id was wrong.
WRONG_CLOCK = "stale_order_id"


class Answer(Struct, frozen=True):
    """The last answer to an order. `outcome`: "done", or why it is not known to be placed.

    `status` and `order_id` are those of an answer "done"; `at_s`: seconds of trading before it.
    """

    outcome: str
    at_s: float
    status: int = 0
    order_id: str = ""

    @property
    def name(self) -> str:
        """The outcome, with the status of one that is done."""
        return f"{self.outcome} {self.status}" if self.status else self.outcome


def contradicted(
    answers: Mapping[str, Answer],
    placed: Collection[str],
    refusals: Mapping[str, str],
    explained: Collection[str],
) -> Iterable[str]:
    """The answers that are not true, in words; `answers` by client order id.

    `placed`: client order ids of all orders. `refusals`: codes of refused placings by order id.
    `explained`: codes that may follow a 202.
    """
    for name, answer in answers.items():
        said = f"was answered {answer.name} after {answer.at_s:.1f} s of trading"
        if answer.outcome.startswith("refused") and name in placed:
            yield f"{name} {said} and is an order"
        if answer.outcome != "done" or name in placed:
            continue
        # Without a refusal it is lost; any other answer than 202 has an outcome behind it.
        code = refusals.get(answer.order_id)
        if answer.status != STORED or code not in explained:
            ended = f"refused with {code}" if code else "without a refusal"
            yield f"{name} {said} and is no order: {answer.order_id}, {ended}"
