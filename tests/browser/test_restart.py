"""An exchange that comes back at the same address with an empty log."""

from pathlib import Path

from msgspec import structs
from playwright.sync_api import Browser, expect

from conformance.api import Api
from infra.ports import free_port
from tests.browser.chromium import watched_page
from tests.browser.seeded_market import seed_market
from tests.browser.test_connection import CUT
from tests.support.exchange import SETTINGS, fresh_exchange


def test_empty_log_clears_the_market_and_refuses_the_old_key(
    browser: Browser, tmp_path: Path
) -> None:
    settings = structs.replace(SETTINGS, port=free_port())
    with watched_page(browser, f"http://127.0.0.1:{settings.port}") as watched:
        page = watched.page
        with fresh_exchange(tmp_path / "before", settings) as exchange:
            key = exchange.register("Before")
            seed_market(Api(exchange.url, key), ("PETR4",), trades=5)
            watched.open("#/stock/PETR4")
            watched.sign_in(key)
            page.fill("#field-price", "22.22")
            page.wait_for_selector("#orders tbody tr")
        expect(page.locator('#connection[data-state="reconnecting"]')).to_be_visible()
        with fresh_exchange(tmp_path / "after", settings):
            live = page.locator('#connection[data-state="live"]')
            expect(live).to_be_visible(timeout=20_000)
            expect(page.locator("#key")).to_have_text("Sign in")
            expect(page.locator(".spread")).to_have_text("the order book is empty")
            expect(page.locator(".tape tbody tr")).to_have_count(0)
            expect(page.locator("#orders tbody tr")).to_have_count(0)
            expect(page.locator("#field-price")).to_have_value("22.22")
        watched.expect_errors(*CUT, "status of 401")
