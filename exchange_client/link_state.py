"""State common to all connections to `/ws`: greeting, login, request ids. Pure.

A connection is made again and again; the state outlives each of them.
"""

import json
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Final

from exchange_client.errors import ClientError, RefusedError

_ERROR: Final = 400
# The refusals after which a new connection may succeed.
_PASSING: Final = frozenset({"rate_limited", "not_accepted", "internal_error"})


class LinkState(ABC):
    """Messages to send are in `outgoing`. `error`: the connection is refused for good.

    `must_reconnect`: the connection is of no use and is to be closed.
    """

    def __init__(self, key: str | None, *, cancel_on_disconnect: bool = False) -> None:
        self._login: dict[str, Any] | None = None if key is None else {"key": key}
        if self._login is not None and cancel_on_disconnect:
            self._login["cancel_on_disconnect"] = True
        self._log: str | None = None
        self._is_new_log = False
        self._ids = 0
        self._login_id = 0
        self.outgoing: deque[str] = deque()
        self.error: ClientError | None = None
        self.is_ready = False
        self.must_reconnect = False

    def received(self, text: str, now: float) -> None:
        """Handle a message of the exchange."""
        message = json.loads(text)
        match message.get("type"):
            case "hello":
                self._greeted(message, now)
            case "response" if message["id"] == self._login_id:
                self._logged_in(message, now)
            case "response":
                self._responded(message, now)
            case _:
                self._handle(message, now)

    def lost(self, reason: str) -> None:
        """Handle the end of the connection."""
        self.outgoing.clear()
        self.is_ready = self.must_reconnect = False

    @abstractmethod
    def _begin(self, log: str, now: float, *, is_new_log: bool) -> None:
        """Act on a connection that is greeted and logged in."""

    @abstractmethod
    def _responded(self, message: dict[str, Any], now: float) -> None:
        """Handle the response to a request."""

    @abstractmethod
    def _handle(self, message: dict[str, Any], now: float) -> None:
        """Handle any other message."""

    def _send(self, operation: str, fields: dict[str, Any]) -> int:
        self._ids += 1
        self.outgoing.append(json.dumps({"op": operation, "id": self._ids, **fields}))
        return self._ids

    def _greeted(self, message: dict[str, Any], now: float) -> None:
        is_new_log = self._log not in (None, message["log"])
        self._log, self._is_new_log = message["log"], is_new_log
        if self._login is None:
            self._start(now)
        else:
            self._login_id = self._send("login", self._login)

    def _logged_in(self, message: dict[str, Any], now: float) -> None:
        if message["status"] < _ERROR:
            self._start(now)
        else:
            self._refuse(message)

    def _start(self, now: float) -> None:
        self.is_ready = True
        self._begin(str(self._log), now, is_new_log=self._is_new_log)

    def _refuse(self, message: dict[str, Any]) -> None:
        """End the connection: for good, or until a later one succeeds."""
        refusal = RefusedError(message["status"], message.get("problem", {}))
        if refusal.code in _PASSING:
            self.must_reconnect = True
        else:
            self.error = refusal
