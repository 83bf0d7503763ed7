"""Screenshots of the page in every state, in both themes and three widths, with nothing cut off.

With `SCREENSHOTS=folder` they are written there, to be looked at.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from conformance.api import Api
from tests.browser.chromium import Watched, watched_page
from tests.browser.pictures import pictures
from tests.browser.test_connection import CUT
from tests.support.exchange import Exchange


def empty(watched: Watched, _: Exchange, __: Api) -> None:
    page = watched.open("#/stock/NOSUCH1")
    expect(page.locator(".tape .empty")).to_have_text("No trades yet.")


def trading(watched: Watched, exchange: Exchange, _: Api) -> None:
    page = watched.open("#/stock/PETR4")
    key = exchange.register("Alfa")
    watched.sign_in(key)
    for side, price in (("b", "36.90"), ("s", "37.40"), ("b", "37.30")):
        page.keyboard.press("Escape")
        page.keyboard.press(side)
        page.fill("#field-price", price)
        page.fill("#field-quantity", "300")
        page.fill("#field-document_number", "12345678901")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(page.locator(".notes")).to_contain_text(f"300 PETR4 at {price}")
    expect(page.locator(".fills tbody tr").first).to_be_visible()
    conditions = {
        "client_order_id": "conditions",
        "display_quantity": 200,
        "valid_until": "2099-12-31T23:59:59Z",
    }
    assert Api(exchange.url, key).place("bid", "PETR4", 4_000, 3681, **conditions).status == 201
    expect(page.locator("#orders tbody tr").first).to_contain_text("until 31/12/2099")


def change(watched: Watched, exchange: Exchange, _: Api) -> None:
    key = exchange.register("Changing")
    assert Api(exchange.url, key).place("bid", "PETR4", 4_000, 3001).status == 201
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)
    page.click("#orders button:text('Change')")
    page.fill("#replace-price", "one")
    page.fill("#replace-quantity", "")
    page.keyboard.press("Enter")
    expect(page.locator("dialog .fault:not(:empty)")).to_have_count(2)


def refused(watched: Watched, exchange: Exchange, _: Api) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Refused"))
    page.fill("#field-price", "0")
    page.fill("#field-quantity", "1000000001")
    page.fill("#field-document_number", "1")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket .fault:not(:empty)")).to_have_count(3)
    watched.expect_errors("status of 422")


def long_names(watched: Watched, exchange: Exchange, _: Api) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("W" * 100))
    page.fill("#field-price", "9999999.99")
    page.fill("#field-quantity", "1000000000")
    page.fill("#field-document_number", "9" * 20)
    expect(page.locator(".total")).to_have_text("Value 9,999,999,990,000,000.00 BRL")
    page.keyboard.press("Enter")
    expect(page.locator(".confirm .line")).to_contain_text("9,999,999,990,000,000.00")


def long_symbol(watched: Watched, _: Exchange, market: Api) -> None:
    symbol = "LONGNAME10"
    for price in (123_456, 150_000):
        for side in ("bid", "ask"):
            assert market.place(side, symbol, 100, price).status == 201
    page = watched.open("#/stock/PETR4")
    row = page.locator(".watch tbody tr", has_text=symbol)
    expect(row).to_have_text(f"{symbol}1,500.00▲ +21.50%")


def market_view(watched: Watched, _: Exchange, __: Api) -> None:
    page = watched.open("#/market")
    expect(page.locator("tbody tr").first).to_be_visible()


def operations_view(watched: Watched, _: Exchange, __: Api) -> None:
    page = watched.open("#/operations")
    expect(page.locator(".sentence")).to_have_text("All stages keep up.", timeout=15_000)


STATES: dict[str, Callable[[Watched, Exchange, Api], None]] = {
    "empty": empty,
    "trading": trading,
    "refused": refused,
    "change": change,
    "long_names": long_names,
    "long_symbol": long_symbol,
    "market": market_view,
    "operations": operations_view,
}


@pytest.mark.parametrize("state", STATES)
def test_state_fits_every_width_in_both_themes(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path, state: str
) -> None:
    with watched_page(browser, exchange.url) as watched:
        STATES[state](watched, exchange, market)
        pictures(watched.page, Path(os.environ.get("SCREENSHOTS", tmp_path)), state)


def test_lost_connection_fits_every_width_in_both_themes(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path
) -> None:
    with watched_page(browser, exchange.url) as watched:
        page = watched.open("#/stock/PETR4")
        page.wait_for_selector("#ladder .near button")
        watched.context.set_offline(True)
        expect(page.locator('#connection[data-state="reconnecting"]')).to_be_visible()
        pictures(page, Path(os.environ.get("SCREENSHOTS", tmp_path)), "disconnected")
        watched.expect_errors(*CUT)


def test_values_at_the_limits_fit_every_width_in_both_themes(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path
) -> None:
    symbol, largest = "LONGEST_10", 1_000_000_000
    for side, price in (("bid", largest - 1), ("ask", largest)):
        assert market.place(side, symbol, largest, price).status == 201
        assert market.place(side, symbol, 1, price).status == 201
    market.place("bid", symbol, largest, largest)
    with watched_page(browser, exchange.url) as watched:
        page = watched.open(f"#/stock/{symbol}")
        expect(page.locator(".quote .last")).to_have_text("10,000,000.00")
        expect(page.locator(".tape tbody tr")).to_have_count(1)
        # A single row stands beside the spread.
        assert page.locator("#ladder .asks").evaluate("(row) => row.offsetHeight") == 24
        folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
        pictures(page, folder, "limits")
