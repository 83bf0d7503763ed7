"""Orders over WebSocket sessions of `exchange_client`; all other calls over HTTP."""

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl

import pytest

from conformance.api import Answer
from conformance.trader import ANSWER_S, Calls
from exchange_client import Client, ClientError, OrderSession, RefusedError
from exchange_client.calls import Call, cancel_all_call, change_call, place_call

_CHANGE = re.compile(r"/orders/([^/]+)/(cancel|replace)")


class OpenSessions:
    """The open sessions, one for each key; closed after each rule."""

    def __init__(self) -> None:
        self._open: dict[str, OrderSession] = {}
        self._closing = ExitStack()
        # Rules act at the same time too.
        self._lock = Lock()

    def of(self, url: str, key: str) -> OrderSession:
        """The session of this key, opened if there is none."""
        with self._lock:
            session = self._open.get(key)
            if session is None:
                client = self._closing.enter_context(Client(url, key, ANSWER_S))
                session = self._closing.enter_context(client.order_session())
                self._open[key] = session
            return session

    def close(self) -> None:
        """Close all sessions; their orders stay in the market."""
        self._open.clear()
        self._closing.close()


class SessionCalls(Calls):
    """A client whose placing, cancelling, replacing and cancelling of all goes over its session.

    Requests with headers of their own, and bodies that are not JSON objects, go over HTTP.
    """

    def __init__(self, url: str, key: str, sessions: OpenSessions) -> None:
        super().__init__(url, key, ANSWER_S)
        self._key = key
        self._sessions = sessions

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As Calls.call."""
        __tracebackhide__ = True
        call = _in_a_session(method, path, body, headers)
        return super().call(method, path, body, headers) if call is None else self._ask(call)

    def _ask(self, call: Call) -> Answer:
        __tracebackhide__ = True
        try:
            response = self._sessions.of(self.url, self._key).ask(call)
        except RefusedError as refused:
            return _answer(refused.status, refused.problem)
        except ClientError as error:
            message = f"expected a response to {call.operation}. There was none: {error}"
        else:
            return _answer(response.status, response.body)
        pytest.fail(message, pytrace=False)


def _in_a_session(
    method: str, path: str, body: object, headers: Mapping[str, str] | None
) -> Call | None:
    if method != "POST" or headers:
        return None
    if path == "/orders" and isinstance(body, Mapping):
        return place_call(body, None, "outcome")
    if path.partition("?")[0] == "/orders/cancel-all" and body is None:
        filters = parse_qsl(path.partition("?")[2])
        plain = len(dict(filters)) == len(filters) and {"symbol", "side"}.issuperset(dict(filters))
        return cancel_all_call(dict(filters)) if plain else None
    change = _CHANGE.fullmatch(path)
    if change is None or not isinstance(body, Mapping | None):
        return None
    return change_call(change[1], change[2], body)


def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    kind = "application/problem+json" if status >= 400 else "application/json"
    return Answer(status, {"content-type": kind}, json.dumps(body).encode() if body else b"")
