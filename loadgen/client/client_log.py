"""Answers that a run's brokers received, in the form that the audit compares with the log. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from loadgen.client.record import RequestRecord
from services.audit.client_log import ClientLine, Told

_CLIENT_ERROR, _SERVER_ERROR, _NOT_ACCEPTED = 400, 500, 503
# The first order with this client order id is in the log, and has a line of its own.
_REUSED = (409, "client_order_id_reused")


def client_lines(lines: Iterable[RequestRecord], broker_ids: Sequence[str]) -> Iterator[ClientLine]:
    """One line per order. `broker_ids` by the plan's broker number."""
    for line in lines:
        answer = line.answer
        if line.operation != "order" or (answer.status, answer.code) == _REUSED:
            continue
        told = _told(line)
        order_id = answer.order_id if told == "acknowledged" else ""
        yield ClientLine(told, broker_ids[line.broker], line.client_order_id, order_id)


def _told(line: RequestRecord) -> Told:
    status = line.answer.status
    if line.kind == "ok" and line.answer.order_id:
        return "acknowledged"
    if _CLIENT_ERROR <= status < _SERVER_ERROR or status == _NOT_ACCEPTED:
        return "refused"
    return "unknown"
