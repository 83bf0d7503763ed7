"""Headers of every answer that keep browsers from guessing types and from framing."""

from collections.abc import Iterator

import pytest

from services.api.app import Route
from services.api.brokers import BrokerDirectory
from services.api.rate_limits import RateLimiter, RateLimits
from services.api.server import make_app
from services.page.assets import load_page
from services.page.serving import pages_of
from tests.contract.test_http_sockets import BOUNDS, echo, fast
from tests.support.edge_server import RawClient, serving

GET = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
REQUESTS = {
    "call": GET % b"/fast",
    "page": GET % b"/",
    "script": GET % b"/page/main.js",
    "docs": GET % b"/docs",
    "document": GET % b"/openapi.json",
    "unknown": GET % b"/nothing",
    "unauthenticated": GET % b"/echo",
    "method": b"DELETE /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "malformed": b"GET / HTTP/1.1\r\n:\r\n\r\n",
    "head_too_large": b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [
        Route("GET", "/fast", fast, "anyone", ""),
        Route("GET", "/echo", echo, "broker", ""),
    ]
    limiter = RateLimiter(RateLimits())
    pages = [pages_of(load_page().assets)]
    app = make_app("Exchange", routes, [], BrokerDirectory("admin"), limiter, pages)
    app.accept()
    with serving(app, BOUNDS) as taken:
        yield taken


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
def test_every_answer_forbids_guessing_its_type_and_framing(
    port: int, request_bytes: bytes
) -> None:
    with RawClient(port) as client:
        client.send(request_bytes)
        head = client.rest().partition(b"\r\n\r\n")[0].decode().lower()
    assert head.startswith("http/1.1 ")
    assert head.count("x-content-type-options: nosniff") == 1
    assert head.count("frame-ancestors 'none'") == 1
