"""Responses to a client's operations, each exactly once, with the status that HTTP would have."""

import logging
from functools import cache
from typing import Any

from msgspec import Raw

from schemas.batch import BatchResult
from schemas.feed import FeedReply
from schemas.feed_requests import RequestId
from services.api.messages import ProblemError, Response
from services.feeds.client import FeedClient
from services.feeds.messages import frame_of
from services.runtime.metrics import SESSION_REQUESTS

log = logging.getLogger(__name__)

# Finding a counter by its labels costs ten times as much.
_requests = cache(SESSION_REQUESTS.labels)
_PENDING = 202
_ERROR = 400
# The fields of bodies that are no orders, by operation.
_BODIES = {"cancel_all": "cancelled", "validate": "valid"}


class Replies:
    """Writes the responses of one client, with its next write."""

    def __init__(self, client: FeedClient) -> None:
        self._client = client
        self._in_flight: set[RequestId] = set()

    def is_expected(self, request_id: RequestId) -> bool:
        """True while an operation with this id waits for its response."""
        return request_id in self._in_flight

    def expect(self, request_id: RequestId) -> None:
        """Note that an operation begins, which waits for its response."""
        self._in_flight.add(request_id)

    def refuse(self, op: str, request_id: RequestId, problem: ProblemError) -> None:
        """Send the error of an operation that does not begin."""
        self._write(op, _error(request_id, problem))

    def send(self, op: str, reply: FeedReply) -> None:
        """Send a response."""
        self._in_flight.discard(reply.id)
        self._write(op, reply)

    def _write(self, op: str, reply: FeedReply) -> None:
        _requests(op, reply.status).inc()
        self._client.send(frame_of(reply))

    def problem(self, op: str, request_id: RequestId, problem: ProblemError) -> None:
        """Send an error."""
        self.send(op, _error(request_id, problem))

    def pass_on(self, op: str, request_id: RequestId, answer: Response | Exception) -> None:
        """Write the answer of a call as HTTP would have it. It may come much later."""
        self.send(op, FeedReply(request_id, **_fields(answer, _BODIES.get(op, "order"))))
        self._client.write_out()


def _error(request_id: RequestId, problem: ProblemError) -> FeedReply:
    return FeedReply(request_id, problem.status, problem=problem.problem(""))


def result_of(answer: Response | Exception) -> BatchResult:
    """The answer of a call as the result of an item."""
    return BatchResult(**_fields(answer, "order"))


def _fields(answer: Response | Exception, body: str) -> dict[str, Any]:
    # Status and body, the latter by the name of its field.
    if isinstance(answer, Response):
        if not answer.body:
            return {"status": answer.status}
        if answer.status >= _ERROR:
            body = "problem"
        elif answer.status == _PENDING and body == "order":
            body = "pending"
        return {"status": answer.status, body: Raw(answer.body)}
    if not isinstance(answer, ProblemError):
        log.error("operation failed", exc_info=answer)
        answer = ProblemError("internal_error", "search the service log for the time")
    return {"status": answer.status, "problem": answer.problem("")}
