"""Errors of the client. Each message states what is known about the request."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of every error of this package."""


class RefusedError(ClientError):
    """The exchange refused the request, and repeating it would not help.

    `problem` is the body of the answer (RFC 9457), with `errors` for single fields; `code` is its
    code and `order` the order that it shows.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", ""))
        self.order: dict[str, Any] | None = problem.get("order")
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")


class UnavailableError(ClientError):
    """No answer within the deadline, and nothing took effect."""


class OutcomeUnknownError(ClientError):
    """No answer within the deadline, but the request may have taken effect.

    `client_order_id` names the order; empty if the request has none. Sending the same order again
    with it is safe for an hour, and `orders(client_order_id=...)` shows the order if it exists.
    """

    def __init__(self, reason: str, client_order_id: str = "") -> None:
        self.client_order_id = client_order_id
        named = f" (client_order_id {client_order_id})" if client_order_id else ""
        super().__init__(f"the outcome is unknown{named}: {reason}")


class QueueFullError(ClientError):
    """The program took events too slowly; the feed has ended. Subscribe again to resume."""
