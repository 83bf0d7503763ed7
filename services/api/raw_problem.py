"""Problems as bytes of HTTP/1.1, for requests that do not reach the application."""

import secrets
from http import HTTPStatus

from services.api.headers import SECURITY_HEADERS
from services.api.messages import ProblemError


def raw_problem(problem: ProblemError, request_id: str | None = None) -> bytes:
    """The whole response, which announces that the connection is closed. `request_id`: that of the
    request; None: it has none."""
    request_id = request_id or secrets.token_hex(8)
    response = problem.response(request_id)
    headers = {
        "content-type": response.content_type,
        "content-length": str(len(response.body)),
        "x-request-id": request_id,
        **dict(SECURITY_HEADERS),
        **{name.lower(): value for name, value in response.headers},
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + response.body


class RefusedRequestError(Exception):
    """Raised out of the parser; `problem` is the answer to the client."""

    def __init__(self, reason: str, problem: ProblemError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem
