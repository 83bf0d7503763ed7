"""Access rights of the live feeds: the exact answer to every kind of key, for each operation and
channel of `/ws`, and for `/stream`.

The expected answers are the second table in `docs/access.md`. If they differ, the test fails with
the new table: review it, and copy it to the page if it is right.
"""

from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from conformance.api import Api, eventually
from schemas.feed_asyncapi import CLIENT_MESSAGES, tag_of
from schemas.feed_requests import ChannelName
from services.admin.brokers import revoke_broker
from tests.support.exchange import Exchange
from tests.support.feed_reader import feed_of

TABLE = Path(__file__).parents[2] / "docs/access.md"
CALLERS = ("no key", "unknown", "revoked", "another broker", "admin", "the right key")
HEAD = """## Live feeds

The handshake of `/ws` and `/stream` with a key in the header; the operations of `/ws` after a
`login` with that key, or without one. "The right key" is that of the broker that placed the order.
Checked by `tests/contract/test_feed_access.py`.
"""
CHANNELS: dict[str, dict[str, Any]] = {
    "trades": {},
    "book": {},
    "ladder": {},
    "ticker": {},
    "candles": {},
    "orders": {"symbols": []},
    "operations": {"symbols": []},
    "trades raw": {"channel": "trades", "interval": "raw"},
    "book raw": {"channel": "book", "interval": "raw"},
}
Row = tuple[str, dict[str, str]]


class Keys:
    """A key of each kind, and orders of the right one."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.owner = exchange.broker()
        gone = exchange.admin().call("POST", "/register", {"name": "Gone"}).body
        revoke_broker(exchange.stack.operator, gone["broker_id"])
        eventually(
            "revoked", lambda: Api(exchange.url, gone["api_key"]).get("/balance").status == 401
        )
        self.of: dict[str, str | None] = {
            "no key": None,
            "unknown": "mx_no-broker-has-this-key",
            "revoked": gone["api_key"],
            "another broker": exchange.broker().key,
            "admin": exchange.admin_key,
            "the right key": self.owner.key,
        }

    def order(self) -> str:
        """An open order of the right key."""
        placed = self.owner.place("bid", self.exchange.symbol(), 1, 1)
        return str(placed.body["order_id"])


def header_of(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def handshake(exchange: Exchange, key: str | None) -> str:
    try:
        with feed_of(exchange, additional_headers=header_of(key)):
            return "101"
    except InvalidStatus as refused:
        return str(refused.response.status_code)


def stream(exchange: Exchange, key: str | None, channel: str) -> str:
    """The status of an event stream, which has no end where it is 200."""
    connection = HTTPConnection(urlsplit(exchange.url).netloc, timeout=20)
    symbols = "" if channel == "orders" else f"&symbols={exchange.symbol()}"
    try:
        connection.request("GET", f"/stream?channels={channel}{symbols}", headers=header_of(key))
        return str(connection.getresponse().status)
    finally:
        connection.close()


def operations(keys: Keys, symbol: str) -> dict[str, dict[str, Any]]:
    """Fields of each operation but `login`, by its name in the table, in the order of sending."""
    order = {"document_number": "1", "symbol": symbol, "side": "bid", "price": 1, "quantity": 1}
    found: dict[str, dict[str, Any]] = {}
    for name, fields in CHANNELS.items():
        subscribe = {"op": "subscribe", "channel": name, "symbols": [symbol]}
        found[f"subscribe {name}"] = subscribe | fields
    named = {"client_order_id": f"{symbol}-1"}
    return found | {
        "unsubscribe": {"channel": "trades", "symbols": [symbol]},
        "resync": {"channel": "book", "symbols": [symbol]},
        "list": {},
        "ping": {},
        "validate": {"order": order},
        "place": {"order": order | named},
        "batch": {"items": [{"place": order | {"client_order_id": f"{symbol}-2"}}]},
        "replace": {"order_id": keys.order(), "values": {"quantity": 2}},
        "cancel": {"order_id": keys.order()},
        "cancel_all": {"symbol": symbol},
        "logout": {},
    }


def asked(keys: Keys, caller: str) -> dict[str, str]:
    """The answer to each operation, after a login where there is a key."""
    found: dict[str, str] = {}
    key = keys.of[caller]
    with feed_of(keys.exchange) as feed:
        found["login"] = cell(feed.ask("login", key=key)) if key is not None else ""
        for name, fields in operations(keys, keys.exchange.symbol()).items():
            given = {"op": name} | fields
            found[name] = cell(feed.ask(given.pop("op"), **given))
    return found


def cell(response: Mapping[str, Any]) -> str:
    code = response.get("problem", {}).get("code", "")
    return f"{response['status']} {code}".strip()


@pytest.fixture(scope="module")
def rows(exchange: Exchange) -> list[Row]:
    keys = Keys(exchange)
    by_caller = {caller: asked(keys, caller) for caller in CALLERS}
    found: list[Row] = [
        ("`/ws`", {caller: handshake(exchange, keys.of[caller]) for caller in CALLERS})
    ]
    found += [
        (f"`{name}`", {caller: by_caller[caller][name] for caller in CALLERS})
        for name in by_caller["no key"]
    ]
    for channel in ("trades", "orders"):
        statuses = {caller: stream(exchange, keys.of[caller], channel) for caller in CALLERS}
        found.append((f"`/stream?channels={channel}`", statuses))
    return found


def rendered(rows: list[Row]) -> str:
    lines = [HEAD, "| | " + " | ".join(CALLERS) + " |", "|---" * (len(CALLERS) + 1) + "|"]
    for name, cells in rows:
        lines.append(f"| {name} | " + " | ".join(cells[caller] for caller in CALLERS) + " |")
    return "\n".join(lines) + "\n"


def test_every_operation_and_channel_answers_every_key_as_documented(rows: list[Row]) -> None:
    table = rendered(rows)
    found = TABLE.read_text().partition("\n## ")
    assert "## " + found[2] == table, f"new text of {TABLE.name}:\n{table}"


def test_table_has_every_operation_and_channel(rows: list[Row]) -> None:
    names = {name.strip("`") for name, _ in rows}
    ops = {name.split()[0] for name in names if not name.startswith("/")}
    assert ops == set(map(tag_of, CLIENT_MESSAGES))
    channels = {name.split()[1] for name in names if name.startswith("subscribe ")}
    assert channels == set(get_args(ChannelName))


def test_no_key_but_a_brokers_own_changes_orders(rows: list[Row]) -> None:
    cells = {name.strip("`"): found for name, found in rows}
    for name in (
        "place",
        "batch",
        "replace",
        "cancel",
        "cancel_all",
        "validate",
        "subscribe orders",
    ):
        for caller in ("no key", "unknown", "revoked", "admin"):
            assert cells[name][caller] == "401 unauthenticated", (name, caller)
    for name in ("replace", "cancel"):
        assert cells[name]["another broker"] == "404 order_not_found"
        assert cells[name]["the right key"] in ("200", "204")
