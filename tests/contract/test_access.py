"""Access rights by route: the exact answer of every documented route to every kind of key.

The expected answers are the table in `docs/access.md`. If a route is missing there or answers
differently, the test fails with the new table: review it, and copy it to the page if it is right.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from conformance.api import Answer, Api, eventually
from conformance.receiver import a_receiver
from services.admin.brokers import revoke_broker
from services.api.app import PROBLEMS
from tests.support.exchange import Exchange

TABLE = Path(__file__).parents[2] / "docs/access.md"
CALLERS = ("no key", "malformed", "unknown", "revoked", "another broker", "admin", "the right key")
UNAUTHENTICATED = CALLERS[:4]
HEAD = """# Access by route

Every route of the OpenAPI document with every kind of key: status, and code where there is one
(`GET /stream`: [below](#live-feeds)).
"The right key" is the key of the broker that owns the order, the admin key for an admin's call,
and any key where none is needed; "malformed" is a right key without `Bearer`. Market data without a
key is answered where `EXCHANGE_PUBLIC_DATA` is `open`, as here; else that is 401 too. Checked by
`tests/contract/test_access.py`.
"""


class Route(Struct, frozen=True):
    """Operation of the document; `who` is its security scheme, "" if it has none. `optional`: it
    needs no key where market data is open."""

    method: str
    path: str
    who: str
    optional: bool
    body: Any
    answers: frozenset[int]
    codes: frozenset[tuple[int, str]]


class Cell(Struct, frozen=True):
    status: int
    code: str

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


def routes_of(document: Any) -> Iterator[Route]:
    """Operations of an OpenAPI document, but event streams, which have no end: `test_feed_access`
    has them."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
                continue
            schemes = [name for rule in operation.get("security", []) for name in rule]
            content = operation.get("requestBody", {}).get("content", {})
            codes = {
                (int(status), code)
                for status, response in operation["responses"].items()
                for code in response.get("content", {})
                .get("application/problem+json", {})
                .get("examples", ())
            }
            yield Route(
                method.upper(),
                path,
                schemes[0] if schemes else "",
                {} in operation.get("security", []),
                content.get("application/json", {}).get("example"),
                frozenset(int(status) for status in operation["responses"] if status < "400"),
                frozenset(codes),
            )


Matrix = list[tuple[Route, dict[str, Cell]]]


class Callers:
    """A key of each kind, and the objects that the paths name.

    `receiver_url` receives the webhooks of the trades.
    """

    def __init__(self, exchange: Exchange, receiver_url: str) -> None:
        self._exchange = exchange
        self._owner, self._another = (
            Api(exchange.url, exchange.register(name, webhook_url=receiver_url))
            for name in ("Owner", "Another")
        )
        self._symbol = exchange.symbol()
        self._owner.place("ask", self._symbol, 1, 1000)
        self._owner.place("bid", self._symbol, 1, 1000)
        self._revoked = self._revoked_key()

    def _revoked_key(self) -> str:
        gone = self._exchange.admin().call("POST", "/register", {"name": "Gone"}).body
        revoke_broker(self._exchange.stack.operator, gone["broker_id"])
        api = Api(self._exchange.url, gone["api_key"])
        eventually("revoked", lambda: api.get("/balance").status == 401)
        return str(gone["api_key"])

    def request(self, route: Route, caller: str, method: str) -> Answer:
        """Send a request that is valid except possibly for its key."""
        right = self._exchange.admin_key if route.who == "admin" else self._owner.key
        authorization = {
            "no key": None,
            "malformed": right,
            "unknown": "Bearer ex_no-broker-has-this-key",
            "revoked": f"Bearer {self._revoked}",
            "another broker": f"Bearer {self._another.key}",
            "admin": f"Bearer {self._exchange.admin_key}",
            "the right key": f"Bearer {right}",
        }[caller]
        headers = {"Prefer": "wait=10"}
        if authorization is not None:
            headers["Authorization"] = authorization
        return Api(self._exchange.url, None).call(
            method, self._filled(route.path), route.body, headers
        )

    def _filled(self, path: str) -> str:
        filled = path.replace("{symbol}", self._symbol)
        if "{order_id}" in path:
            order = self._owner.place("bid", self._exchange.symbol(), 1, 1)
            filled = filled.replace("{order_id}", order.body["order_id"])
        if "{delivery_id}" in path:
            delivery = self._owner.call("POST", "/webhooks/test")
            filled = filled.replace("{delivery_id}", delivery.body["id"])
        if path == "/tickers":
            filled += "?symbols=*"
        assert "{" not in filled, f"add the value of the parameter of {path} here"
        return filled


def cell_of(answer: Answer) -> Cell:
    problem = answer.headers.get("content-type") == "application/problem+json"
    return Cell(answer.status, answer.body["code"] if problem and answer.raw else "")


@pytest.fixture(scope="module")
def callers(exchange: Exchange) -> Iterator[Callers]:
    with a_receiver() as receiver:
        yield Callers(exchange, receiver.url)


@pytest.fixture(scope="module")
def matrix(exchange: Exchange, callers: Callers) -> Matrix:
    routes = routes_of(Api(exchange.url, None).get("/openapi.json").body)
    return [
        (
            route,
            {caller: cell_of(callers.request(route, caller, route.method)) for caller in CALLERS},
        )
        for route in routes
    ]


def rendered(matrix: Matrix) -> str:
    lines = [HEAD, "| | " + " | ".join(CALLERS) + " |", "|---" * (len(CALLERS) + 1) + "|"]
    for route, cells in sorted(matrix, key=lambda item: (item[0].path, item[0].method)):
        answers = " | ".join(str(cells[caller]) for caller in CALLERS)
        lines.append(f"| `{route.method} {route.path}` | {answers} |")
    return "\n".join(lines) + "\n"


def test_every_route_answers_every_key_as_documented(
    matrix: Matrix,
) -> None:
    table = rendered(matrix)
    # The table of the live feeds follows, which `test_feed_access` checks.
    assert TABLE.read_text().partition("\n## ")[0] == table, f"new text of {TABLE.name}:\n{table}"


def test_routes_with_a_key_answer_401_without_a_valid_key(
    matrix: Matrix,
) -> None:
    refused = Cell(401, "unauthenticated")
    keyed = [(route, cells) for route, cells in matrix if route.who]
    assert len(keyed) >= 7
    for route, cells in keyed:
        without = {cells[caller] for caller in UNAUTHENTICATED[1:]}
        assert without == {refused}, route
        assert cells["no key"] == (Cell(200, "") if route.optional else refused), route


def test_routes_answer_403_to_a_key_of_the_other_kind(matrix: Matrix) -> None:
    forbidden = Cell(403, "forbidden")
    for route, cells in matrix:
        if route.who == "broker":
            assert cells["admin"] == forbidden, route
        if route.who == "admin":
            assert cells["another broker"] == forbidden, route


def test_right_key_succeeds_and_another_brokers_key_finds_no_foreign_object(
    matrix: Matrix,
) -> None:
    for route, cells in matrix:
        right, another = cells["the right key"], cells["another broker"]
        assert right.status in route.answers, route
        if "{order_id}" in route.path:
            assert another == Cell(404, "order_not_found"), route
        elif "{delivery_id}" in route.path:
            assert another == Cell(404, "not_found"), route
        elif route.who == "broker":
            assert another == right, route


def test_public_routes_ignore_keys(matrix: Matrix) -> None:
    open_ones = {route.path: set(cells.values()) for route, cells in matrix if not route.who}
    assert open_ones == {path: {Cell(200, "")} for path in ("/livez", "/readyz")}


def test_every_answer_is_documented(matrix: Matrix) -> None:
    for route, cells in matrix:
        for cell in cells.values():
            if cell.code:
                assert (cell.status, cell.code) in route.codes, (route, cell)
                assert PROBLEMS[cell.code].status == cell.status
            else:
                assert cell.status in route.answers, (route, cell)


def test_head_answers_any_key_as_get_does(exchange: Exchange, callers: Callers) -> None:
    routes = routes_of(Api(exchange.url, None).get("/openapi.json").body)
    for route in (route for route in routes if route.method == "GET"):
        for caller in CALLERS:
            head, got = (callers.request(route, caller, method) for method in ("HEAD", "GET"))
            assert (head.status, head.raw) == (got.status, b""), (route, caller)
