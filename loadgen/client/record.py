"""One record per request, in arrays so that millions fit, and the category of each answer.

Pure apart from growing. Instants are microseconds from the start of the plan.
"""

from array import array
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from msgspec import Struct

Operation = Literal[
    "order", "replace", "cancel", "read_order", "read_price", "read_book", "read_balance"
]
Kind = Literal[
    "ok",
    "expected",
    "transport",
    "timeout",
    "rate_limited",
    "server_error",
    "unexpected",
    "not_sent",
    "abandoned",
]

OPERATIONS: Final[tuple[Operation, ...]] = (
    "order",
    "replace",
    "cancel",
    "read_order",
    "read_price",
    "read_book",
    "read_balance",
)
ERROR_KINDS: Final[tuple[Kind, ...]] = (
    "transport",
    "timeout",
    "rate_limited",
    "server_error",
    "unexpected",
)

# Values in place of an HTTP status when there was no answer. A stopped run abandons requests in
# progress; a request cannot be sent if it refers to an order without an answer.
NO_ANSWER: Final = 0
TIMED_OUT: Final = 1
NOT_SENT: Final = 2
ABANDONED: Final = 3
# In place of the problem code of an order that expired before it was sent.
EXPIRED: Final = "expired"

_READ_OK: Final = frozenset({200})
_OK: Final[dict[Operation, frozenset[int]]] = {
    "order": frozenset({200, 201, 202}),
    "replace": frozenset({200, 202}),
    "cancel": frozenset({200, 202, 204}),
    "read_order": _READ_OK,
    "read_price": _READ_OK,
    "read_book": _READ_OK,
    "read_balance": _READ_OK,
}
# Answers that belong to normal trading.
_EXPECTED: Final = frozenset(
    {
        (409, "too_late_to_cancel"),
        (409, "too_late_to_replace"),
        (404, "no_trades"),
        (422, EXPIRED),
        (409, "post_only_would_trade"),
        (409, "stop_would_trigger"),
    }
)
_WITHOUT_ANSWER: Final[dict[int, Kind]] = {
    NO_ANSWER: "transport",
    TIMED_OUT: "timeout",
    NOT_SENT: "not_sent",
    ABANDONED: "abandoned",
    429: "rate_limited",
}
_SERVER_ERROR_STATUS = 500


class RequestResult(Struct, frozen=True):
    """An answer: status (or one of the four values above), problem code, order id."""

    status: int
    code: str = ""
    order_id: str = ""


def kind_of(operation: Operation, answer: RequestResult) -> Kind:
    """The category of this answer."""
    if answer.status in _OK[operation]:
        return "ok"
    if (answer.status, answer.code) in _EXPECTED:
        return "expected"
    if answer.status in _WITHOUT_ANSWER:
        return _WITHOUT_ANSWER[answer.status]
    return "server_error" if answer.status >= _SERVER_ERROR_STATUS else "unexpected"


class RequestRecord(Struct, frozen=True):
    """One request. `latency_us` counts from the intended time of sending."""

    operation: Operation
    intended_us: int
    sent_us: int
    done_us: int
    answer: RequestResult
    broker: int
    client_order_id: str

    @property
    def latency_us(self) -> int:
        """Microseconds from the intended time of sending to the answer."""
        return self.done_us - self.intended_us

    @property
    def send_lag_us(self) -> int:
        """Microseconds from the intended to the actual time of sending: the generator's own lag."""
        return self.sent_us - self.intended_us

    @property
    def kind(self) -> Kind:
        """See `kind_of`."""
        return kind_of(self.operation, self.answer)


class RecordBatch(NamedTuple):
    """Records in the form in which processes exchange them."""

    operations: bytes
    times: bytes
    statuses: bytes
    brokers: bytes
    texts: list[tuple[str, str, str]]


class Records:
    """All requests of a run, in the order of completion."""

    def __init__(self) -> None:
        self._operation = array("B")
        self._times = array("q")
        self._status = array("H")
        self._broker = array("i")
        self._texts: list[tuple[str, str, str]] = []

    def add(self, line: RequestRecord) -> None:
        """Append a record."""
        self._operation.append(OPERATIONS.index(line.operation))
        self._times.extend((line.intended_us, line.sent_us, line.done_us))
        self._status.append(line.answer.status)
        self._broker.append(line.broker)
        answer = line.answer
        self._texts.append((answer.code, answer.order_id, line.client_order_id))

    def __len__(self) -> int:
        return len(self._operation)

    def __iter__(self) -> Iterator[RequestRecord]:
        return self.since(0)

    def batch(self, first: int) -> RecordBatch:
        """The records from number `first` on, for another process."""
        return RecordBatch(
            self._operation[first:].tobytes(),
            self._times[3 * first :].tobytes(),
            self._status[first:].tobytes(),
            self._broker[first:].tobytes(),
            self._texts[first:],
        )

    def extend(self, batch: RecordBatch) -> None:
        """Append records of another process."""
        self._operation.frombytes(batch.operations)
        self._times.frombytes(batch.times)
        self._status.frombytes(batch.statuses)
        self._broker.frombytes(batch.brokers)
        self._texts.extend(batch.texts)

    def since(self, first: int) -> Iterator[RequestRecord]:
        """The records from number `first` on."""
        for i in range(first, len(self)):
            code, order_id, client_order_id = self._texts[i]
            yield RequestRecord(
                operation=OPERATIONS[self._operation[i]],
                intended_us=self._times[3 * i],
                sent_us=self._times[3 * i + 1],
                done_us=self._times[3 * i + 2],
                answer=RequestResult(self._status[i], code, order_id),
                broker=self._broker[i],
                client_order_id=client_order_id,
            )
