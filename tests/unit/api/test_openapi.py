"""The OpenAPI document and its page: complete, and loaded from this service alone."""

import json
import re
from typing import Any

import pytest

from services.api.app import ApiApp, Route
from services.api.brokers import BrokerDirectory
from services.api.framework import make_framework
from services.api.openapi import document
from services.api.server import health_router
from services.feeds.stream_call import ROUTE as STREAM_ROUTE
from services.ingest.app import Ingest
from services.reader.app import Reader
from services.reader.ticker_routes import TickerRoutes
from services.reader.watched_archive import WatchedArchive
from services.runtime.health import Check, Health
from services.runtime.settings import Settings
from services.webhooks.app import WebhookRoutes
from tests.support.asgi_driver import AsgiRequest, answer
from tests.support.ingest_context import FakeSender, IngestHarness, run_scenario


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    found: list[Route] = []

    async def scenario() -> None:
        ingest: Ingest = IngestHarness(FakeSender()).ingest
        found.extend(ingest.routes())
        found.extend(ingest.router().calls)

    run_scenario(scenario)
    found.extend(Reader.routes(Reader.__new__(Reader)))
    found.extend(TickerRoutes.router(TickerRoutes.__new__(TickerRoutes)).calls)
    found.append(STREAM_ROUTE)
    found.extend(health_router(Health(), Settings()).calls)
    found.extend(WebhookRoutes.router(WebhookRoutes.__new__(WebhookRoutes)).calls)
    return found


@pytest.fixture(scope="module")
def made(routes: list[Route]) -> dict[str, Any]:
    return document(routes, "Exchange", "1")


def refs(value: object) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(value)))


def test_every_call_is_documented_with_its_parameters(
    routes: list[Route], made: dict[str, Any]
) -> None:
    for call in routes:
        operation = made["paths"][call.path][call.method.lower()]
        names = {parameter["name"] for parameter in operation["parameters"]}
        assert names == set(re.findall(r"{(\w+)}", call.path)) | {p.name for p in call.parameters}
        assert ("security" in operation) == (call.who != "anyone")
    ids = [o["operationId"] for path in made["paths"].values() for o in path.values()]
    assert len(set(ids)) == len(ids)


def test_parameters_that_a_call_needs_are_documented_as_required(made: dict[str, Any]) -> None:
    needed = {
        (path, parameter["name"])
        for path, methods in made["paths"].items()
        for parameter in methods.get("get", {}).get("parameters", ())
        if parameter.get("required") and parameter["in"] != "path"
    }
    assert needed == {("/tickers", "symbols"), ("/stream", "channels")}


def test_event_stream_is_documented_with_its_text_and_its_problems(made: dict[str, Any]) -> None:
    stream = made["paths"]["/stream"]["get"]
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    assert {"401", "403", "409", "422", "429", "503"} <= stream["responses"].keys()
    assert stream["security"] == [{"broker": []}, {}]
    headers = [each["name"] for each in stream["parameters"] if each["in"] == "header"]
    assert headers == ["Last-Event-ID"]


def test_stream_that_cannot_take_its_connection_is_answered() -> None:
    api = ApiApp([STREAM_ROUTE], BrokerDirectory("the-admin-key"))
    api.open_market()
    head = answer(api, AsgiRequest("HEAD", "/stream"))
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
    behind = answer(api, AsgiRequest("GET", "/stream"))
    assert (behind.status, behind.headers["connection"]) == (503, "close")
    assert answer(api, AsgiRequest("POST", "/stream")).status == 405


def test_every_post_documents_a_malformed_body(made: dict[str, Any]) -> None:
    posts = {path: methods["post"] for path, methods in made["paths"].items() if "post" in methods}
    assert [path for path, post in posts.items() if "400" not in post["responses"]] == []


def test_every_reference_resolves(made: dict[str, Any]) -> None:
    assert refs(made) <= made["components"]["schemas"].keys()
    assert "(?!" not in json.dumps(made)


def test_every_answer_documents_its_headers(made: dict[str, Any]) -> None:
    order = made["paths"]["/orders"]["post"]["responses"]
    assert {"201", "202", "200", "400", "401", "403", "406", "408", "409", "413", "415", "422",
            "429", "500", "503", "504"} == set(order)  # fmt: skip
    assert "Location" in order["201"]["headers"]
    assert "Retry-After" in order["503"]["headers"]
    assert "WWW-Authenticate" in order["401"]["headers"]
    assert all("X-Request-Id" in documented["headers"] for documented in order.values())
    codes = order["409"]["content"]["application/problem+json"]["schema"]["allOf"][1]
    assert codes["properties"]["code"]["enum"] == [
        "client_order_id_reused",
        "market_closed",
        "market_halted",
        "needs_instrument",
        "outside_price_band",
        "post_only_would_trade",
        "stop_would_trigger",
        "too_many_client_order_ids",
        "too_many_open_orders",
        "too_many_symbols",
    ]


def test_docs_page_loads_nothing_from_other_hosts(routes: list[Route]) -> None:
    api = ApiApp(routes, BrokerDirectory("the-admin-key"), make_framework("Exchange", routes, []))
    page = answer(api, AsgiRequest("GET", "/docs"))
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    # Every reference is a path of this service.
    linked = re.findall(rb"""(?:src|href)=["']([^"']+)""", page.raw)
    assert linked
    assert b"//" not in b"".join(linked)
    assert not re.search(rb"https?://", page.raw)
    for path in {b"/openapi.json", *linked}:
        asset = answer(api, AsgiRequest("GET", path.decode()))
        assert (asset.status, bool(asset.raw)) == (200, True)
        head = answer(api, AsgiRequest("HEAD", path.decode()))
        assert (head.status, head.raw) == (200, b"")


def test_readiness_is_503_until_every_check_is_ok() -> None:
    health = Health()
    ok = False
    health.add("log", lambda: Check(ok, "catching up"))
    framework = make_framework(
        "Exchange", [], [health_router(health, Settings(metrics_on_api=True))]
    )
    api = ApiApp([], BrokerDirectory("the-admin-key"), framework)
    api.refuse("starting")
    assert answer(api, AsgiRequest("GET", "/livez")).body == {"status": "alive"}
    before = answer(api, AsgiRequest("GET", "/readyz"))
    assert (before.status, before.body["status"]) == (503, "not_ready")
    assert before.body["checks"] == {"log": {"ok": False, "detail": "catching up"}}
    ok = True
    assert answer(api, AsgiRequest("GET", "/readyz")).status == 200
    metrics = answer(api, AsgiRequest("GET", "/metrics", {"Accept": "text/plain"}))
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b"exchange_http_request_duration_seconds_bucket" in metrics.raw


def test_unreachable_database_leaves_the_service_ready() -> None:
    watched = WatchedArchive(None)  # type: ignore[arg-type]
    assert watched.check().ok
    assert "away" in watched.check().detail
