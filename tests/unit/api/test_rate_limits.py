"""Rate limits: the budget charged, the response to the client, and the settings."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from schemas.brokers import Broker, key_hash
from services.api import rate_limits
from services.api.app import ApiApp, ProblemError, Request, Response, Route
from services.api.brokers import BrokerDirectory
from services.api.framework import ServiceRouter, make_framework
from services.api.messages import Budget
from services.api.rate_limits import RateLimiter, RateLimits, rate_limits_of
from services.local.local_settings import unlimited
from services.runtime.settings import Settings
from services.webhooks.app import WebhookRoutes
from services.webhooks.deliveries import Deliveries
from tests.support.asgi_driver import AsgiRequest, AsgiResponse, answer, drive

LIMITS = RateLimits(
    orders_per_second=1, cancels_per_second=2, reads_per_second=3, failed_keys_per_minute=4
)
CALLS: dict[Budget, tuple[str, str]] = {
    "orders": ("POST", "/orders"),
    "cancels": ("POST", "/orders/x/cancel"),
    "reads": ("GET", "/balance"),
}


DELAY_S = 0.02


@pytest.fixture(autouse=True)
def _short_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYLESS_DELAY_S", DELAY_S)


async def done(_: Request) -> Response:
    return Response(204)


def make_api(limits: RateLimits = LIMITS) -> ApiApp:
    directory = BrokerDirectory("the-admin-key")
    for name in ("a", "b"):
        broker_id = f"{name * 8}-b9b1-40c1-a6e6-2395694c9eef"
        directory.add(Broker(broker_id, name, key_hash(name), 0))
    routes = [
        Route("POST", "/orders", done, "broker", ""),
        Route("POST", "/orders/{id}/cancel", done, "broker", "", budget="cancels"),
        Route("GET", "/balance", done, "broker", ""),
        Route("POST", "/register", done, "admin", ""),
        Route("GET", "/livez", done, "anyone", ""),
    ]
    return ApiApp(routes, directory, make_framework("Test", routes, []), RateLimiter(limits))


def respond(
    api: ApiApp, key: str | None, budget: Budget = "reads", client: str = ""
) -> AsgiResponse:
    method, path = CALLS[budget]
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return answer(api, AsgiRequest(method, path, headers, client=client))


def limited(budget: str) -> float:
    return REGISTRY.get_sample_value("exchange_rate_limited_total", {"budget": budget}) or 0.0


@pytest.mark.parametrize(("budget", "rate"), [("orders", 1), ("cancels", 2), ("reads", 3)])
def test_spent_budget_is_429_with_retry_after_for_that_broker_only(
    budget: Budget, rate: int
) -> None:
    before = limited(budget)
    rate_limiter = RateLimiter(LIMITS)
    for _ in range(2 * rate):
        rate_limiter.spend("a", budget, 10.0)
    with pytest.raises(ProblemError) as caught:
        rate_limiter.spend("a", budget, 10.0)
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    assert caught.value.headers == (("Retry-After", "1"),)
    assert f"at most {rate} {budget} a second; nothing was written" in caught.value.detail
    assert limited(budget) == before + 1
    rate_limiter.spend("b", budget, 10.0)
    rate_limiter.spend("a", budget, 11.1)


def test_webhooks_and_secrets_have_separate_budgets() -> None:
    rate_limiter = RateLimiter(RateLimits(webhooks_per_second=3, secrets_per_minute=2))
    for budget, burst, text in (
        ("webhooks", 6, "at most 3 webhooks a second"),
        ("secrets", 2, "at most 2 secrets a minute"),
    ):
        name: Budget = budget  # type: ignore[assignment]
        for _ in range(burst):
            rate_limiter.spend("a", name, 10.0)
        with pytest.raises(ProblemError, match=text):
            rate_limiter.spend("a", name, 10.0)
        rate_limiter.spend("a", "orders", 10.0)
    rate_limiter.spend("a", "secrets", 40.1)


def test_calls_that_queue_webhooks_or_write_secrets_are_not_charged_as_orders() -> None:
    calls = [*WebhookRoutes(Deliveries(None)).router().calls]  # type: ignore[arg-type]
    posts = {call.path: call.budget for call in calls if call.method == "POST"}
    assert set(posts.values()) == {"webhooks"}


@pytest.mark.parametrize("spent", ["orders", "cancels", "reads"])
def test_call_is_charged_to_its_own_budget(spent: Budget) -> None:
    api = make_api()
    statuses = [respond(api, "a", spent).status for _ in range(20)]
    assert {204, 429} == set(statuses)
    for other in CALLS.keys() - {spent}:
        assert respond(api, "a", other).status == 204
    assert respond(api, "b", spent).status == 204


def test_limited_request_reaches_no_handler_and_its_body_is_not_read() -> None:
    api = make_api()
    headers = {"Authorization": "Bearer a", "Content-Length": "2"}
    answers = [answer(api, AsgiRequest("POST", "/orders", headers, (b"{}",))) for _ in range(9)]
    refused = [one for one in answers if one.status == 429]
    assert refused
    assert all(one.received == 0 for one in refused)
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert all(one.body["code"] == "rate_limited" and one.body["retryable"] for one in refused)


def test_admin_and_public_calls_have_no_limit() -> None:
    api = make_api()
    for _ in range(50):
        admin = AsgiRequest("POST", "/register", {"Authorization": "Bearer the-admin-key"})
        assert answer(api, admin).status == 204
        assert answer(api, AsgiRequest("GET", "/livez")).status == 204


def test_failed_keys_of_an_address_are_429_above_the_limit_and_a_valid_key_still_works() -> None:
    api = make_api()
    before = limited("failed_keys")
    statuses = [respond(api, key, client="192.0.2.1").status for key in (None, "x", None, "y", "z")]
    assert statuses == [401, 401, 401, 401, 429]
    assert limited("failed_keys") == before + 1
    assert respond(api, "a", client="192.0.2.1").status == 204
    assert respond(api, "x", client="192.0.2.2").status == 401


def test_requests_over_the_limit_of_failed_keys_still_spend_that_of_all_without_a_key() -> None:
    rate_limiter = RateLimiter(RateLimits(failed_keys_per_minute=1, keyless_per_second=1))
    codes = [rate_limiter.unauthenticated("192.0.2.1", 10.0).code for _ in range(10)]
    assert codes == ["unauthenticated", *["rate_limited"] * 9]
    # The protocol asks this before the application runs.
    assert rate_limiter.spent_keyless("192.0.2.1", 10.0) is not None
    assert rate_limiter.spent_keyless("192.0.2.2", 10.0) is None


def test_failed_keys_limit_uses_the_address_of_the_connection_not_a_header() -> None:
    api = make_api()
    for number in range(9):
        headers = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        last = answer(api, AsgiRequest("GET", "/balance", headers, client="198.51.100.1"))
    assert last.status == 429
    assert int(last.headers["retry-after"]) in range(1, 16)
    assert "198.51" not in last.raw.decode()


def test_expensive_refusal_is_charged_more() -> None:
    async def unknown(_: Request) -> Response:
        raise ProblemError("order_not_found", "").costing(4)

    directory = BrokerDirectory(None)
    directory.add(Broker("a" * 36, "a", key_hash("a"), 0))
    route = Route("GET", "/balance", unknown, "broker", "")
    api = ApiApp([route], directory, rate_limiter=RateLimiter(LIMITS))
    statuses = [respond(api, "a").status for _ in range(3)]
    # Six tokens are saved up, and each refusal costs five.
    assert statuses == [404, 404, 429]


def test_large_answer_is_charged_by_its_bytes() -> None:
    async def large(_: Request) -> Response:
        return Response(200, b"x" * 9_000)

    directory = BrokerDirectory(None)
    directory.add(Broker("a" * 36, "a", key_hash("a"), 0))
    route = Route("GET", "/balance", large, "broker", "")
    api = ApiApp([route], directory, rate_limiter=RateLimiter(LIMITS))
    statuses = [respond(api, "a").status for _ in range(3)]
    # Six tokens are saved up, and each answer costs three.
    assert statuses == [200, 200, 429]


def test_large_answer_of_the_framework_is_charged_alike() -> None:
    async def large() -> Response:
        return Response(200, b"x" * 9_000)

    directory = BrokerDirectory(None)
    directory.add(Broker("a" * 36, "a", key_hash("a"), 0))
    router = ServiceRouter([Route("GET", "/balance", large, "broker", "")])
    api = ApiApp([], directory, make_framework("Test", [], [router]), RateLimiter(LIMITS))
    statuses = [respond(api, "a").status for _ in range(3)]
    assert statuses == [200, 200, 429]


def keyless(api: ApiApp, method: str, path: str, **headers: str) -> int:
    return answer(api, AsgiRequest(method, path, headers, client="192.0.2.1")).status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 204),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/balance", 405),
        ("OPTIONS", "/balance", 204),
        ("GET", "/balance", 401),
    ],
)
def test_request_without_a_key_is_charged_to_its_address_and_a_valid_key_is_not(
    method: str, path: str, status: int
) -> None:
    api = make_api(RateLimits(keyless_per_second=1))
    before = limited("keyless")
    assert {keyless(api, method, path) for _ in range(10)} == {status}
    refused = answer(api, AsgiRequest(method, path, client="192.0.2.1"))
    assert (refused.status, refused.body["code"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "1"
    assert limited("keyless") == before + 1
    valid = {"Authorization": "Bearer a"}
    assert {keyless(api, method, path, **valid) for _ in range(20)} <= {status, 204}
    assert answer(api, AsgiRequest(method, path, client="192.0.2.2")).status == status


def test_large_page_is_charged_to_its_address_by_its_bytes() -> None:
    api = make_api(RateLimits(keyless_per_second=3))
    script = "/static/swagger-ui-bundle.js"
    statuses = [keyless(api, "GET", script) for _ in range(3)]
    # 30 tokens are saved up, and 1.5 MB cost more than 20.
    assert statuses == [200, 200, 429]


def test_refusal_of_a_request_without_a_key_is_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYLESS_DELAY_S", 0.2)

    async def timed() -> tuple[int, float]:
        api = make_api(RateLimits(keyless_per_second=1))
        for _ in range(10):
            await drive(api, AsgiRequest("GET", "/livez", client="192.0.2.1"))
        begun = time.monotonic()
        refused = await drive(api, AsgiRequest("GET", "/livez", client="192.0.2.1"))
        assert refused is not None
        return refused.status, time.monotonic() - begun

    status, taken_s = asyncio.run(timed())
    assert status == 429
    assert taken_s >= 0.2


def test_failed_keys_limit_refills_within_a_minute() -> None:
    rate_limiter = RateLimiter(LIMITS)
    codes = [rate_limiter.unauthenticated("192.0.2.1", 0.0).status for _ in range(5)]
    codes += [rate_limiter.unauthenticated("192.0.2.1", 15.1).status for _ in range(2)]
    assert codes == [401] * 4 + [429] + [401, 429]


def test_settings_without_limits_limit_services_but_not_a_local_exchange() -> None:
    assert rate_limits_of(Settings()) == RateLimits(1_000, 2_000, 4_000, 60, 20, 10, 10)
    # No client of this machine needs more without a key.
    assert rate_limits_of(unlimited(Settings())) == RateLimits(keyless_per_second=20)


def test_settings_with_a_limit_apply_to_services_and_a_local_exchange() -> None:
    given = Settings(rate_orders=5, rate_cancels=0, failed_keys=7, rate_keyless=9)
    assert rate_limits_of(given) == RateLimits(5, 0, 4_000, 7, 9, 10, 10)
    assert rate_limits_of(unlimited(given)) == RateLimits(5, 0, 0, 7, 9)
