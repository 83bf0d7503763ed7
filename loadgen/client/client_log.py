"""Answers that a run's brokers received, in the form that the audit compares with the log. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from loadgen.client.record import RequestRecord
from services.audit.client_log import ClientLine, ClientResult

_CLIENT_ERROR, _SERVER_ERROR, _NOT_ACCEPTED = 400, 500, 503
# Refusals of the order itself. The others refuse an attempt, such as 429, 401 and 503.
_ORDER_REFUSED = (400, 422)
# The first order with this client order id is in the log, and has a line of its own.
_REUSED = (409, "client_order_id_reused")


def client_lines(lines: Iterable[RequestRecord], broker_ids: Sequence[str]) -> Iterator[ClientLine]:
    """One line per attempt. `broker_ids` by the plan's broker number.

    An attempt at an order that is already unknown, and was refused for reasons other than the
    order's content, has none: it does not say whether an earlier attempt entered.
    """
    unknown: set[tuple[int, str]] = set()
    for line in lines:
        answer = line.answer
        if line.operation != "order" or (answer.status, answer.code) == _REUSED:
            continue
        verdict = _verdict(line)
        name = (line.broker, line.client_order_id)
        if verdict == "unknown":
            unknown.add(name)
        elif verdict == "refused" and name in unknown and answer.status not in _ORDER_REFUSED:
            continue
        order_id = answer.order_id if verdict == "acknowledged" else ""
        yield ClientLine(verdict, broker_ids[line.broker], line.client_order_id, order_id)


def _verdict(line: RequestRecord) -> ClientResult:
    status = line.answer.status
    if line.kind == "ok" and line.answer.order_id:
        return "acknowledged"
    if _CLIENT_ERROR <= status < _SERVER_ERROR or status == _NOT_ACCEPTED:
        return "refused"
    return "unknown"
