"""Small HTTP client for tests: one request, one response, no retries."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

TIMEOUT_S = 20.0


class Answer(Struct, frozen=True):
    """Status, headers by lower-case name, and the raw body."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The body as JSON; None when there is none."""
        return json.loads(self.raw) if self.raw else None


class Api:
    """Calls with one key."""

    def __init__(self, url: str, key: str | None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self.key = key
        parts = urlsplit(url)
        self._host = parts.netloc
        self._base = parts.path.rstrip("/")
        self._connection = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; a body that is not bytes goes as JSON."""
        sent = dict(headers or {})
        if self.key is not None:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        data: bytes | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self._connection(self._host, timeout=self._timeout_s)
        try:
            connection.request(method, self._base + path, data, sent)
            response = connection.getresponse()
            raw = response.read()
            received = {name.lower(): text for name, text in response.getheaders()}
            return Answer(response.status, received, raw)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """GET."""
        return self.call("GET", path)

    def place(
        self, side: str, symbol: str, quantity: int, price: int | None, **more: Any
    ) -> Answer:
        """POST /orders: a limit order, or a market order where there is no price."""
        order: dict[str, Any] = {
            "document_number": "12345678901",
            "side": side,
            "symbol": symbol,
            "quantity": quantity,
            "order_type": "market" if price is None else "limit",
        }
        if price is not None:
            order["price"] = price
        return self.call("POST", "/orders", order | more)

    def cancel(self, order_id: str, headers: Mapping[str, str] | None = None) -> Answer:
        """POST /orders/{id}/cancel."""
        return self.call("POST", f"/orders/{order_id}/cancel", headers=headers)

    def replace(self, order_id: str, **values: Any) -> Answer:
        """POST /orders/{id}/replace with these values."""
        return self.call("POST", f"/orders/{order_id}/replace", values)

    def order(self, order_id: str) -> Any:
        """The order's body; fails unless the answer is 200."""
        answer = self.get(f"/orders/{order_id}")
        assert answer.status == 200, answer
        return answer.body


def eventually(what: str, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until the condition holds; fails naming what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.05)
