"""Answers to requests for the files of the page: headers, validators, and the bounded policy."""

import pytest

from services.api.app import ApiApp
from services.api.brokers import BrokerDirectory
from services.page.assets import load_page
from services.page.serving import pages_of, security_policy
from tests.support.asgi_driver import AsgiRequest, AsgiResponse, answer

HOST = "127.0.0.1:8000"


def get(path: str, method: str = "GET", **headers: str) -> AsgiResponse:
    api = ApiApp([], BrokerDirectory("admin"), pages=[pages_of(load_page().assets)])
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return answer(api, AsgiRequest(method, path, {"Host": HOST} | named))


def test_page_is_served_with_its_policy_and_a_strong_etag() -> None:
    got = get("/")
    assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = got.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert f"connect-src 'self' ws://{HOST} wss://{HOST};" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert got.headers["referrer-policy"] == "no-referrer"
    assert got.headers["cache-control"] == "no-cache"
    assert got.headers["etag"].startswith('"')
    assert got.headers["content-length"] == str(len(got.raw))


@pytest.mark.parametrize("given", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
def test_known_version_is_not_sent_again(given: str) -> None:
    etag = get("/page/main.js").headers["etag"]
    got = get("/page/main.js", If_None_Match=given.format(etag=etag))
    assert (got.status, got.raw, got.headers["etag"]) == (304, b"", etag)


def test_another_version_is_sent() -> None:
    assert get("/page/main.js", If_None_Match='"old"').status == 200


def test_scripts_and_styles_have_their_types() -> None:
    assert get("/page/main.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert get("/page/style.css").headers["content-type"] == "text/css; charset=utf-8"


def test_head_has_no_body_and_other_paths_and_methods_are_refused() -> None:
    assert (get("/", "HEAD").status, get("/", "HEAD").raw) == (200, b"")
    assert get("/page/../secret").status == 404
    assert get("/page/none.js").status == 404
    assert get("/", "POST").status == 405


@pytest.mark.parametrize("host", ["a; script-src *", "a b", "", "x" * 300, "'unsafe-inline'"])
def test_strange_host_adds_nothing_to_the_policy(host: str) -> None:
    assert "connect-src 'self';" in security_policy(host)
