"""Screenshots of a seeded market in both themes and three widths, without anything cut off.

With `SCREENSHOTS=docs` those of the documents are written there.
"""

import os
import random
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from conformance.api import Api
from tests.browser.chromium import watched_page
from tests.browser.pictures import OVERFLOW, WIDTHS, pictures
from tests.browser.seeded_market import seed_market
from tests.support.exchange import Exchange


def folder(tmp_path: Path) -> Path:
    """The folder for pictures of the documents."""
    return Path(os.environ.get("SCREENSHOTS", tmp_path))


def settled(page: Page) -> None:
    """Wait until charts and tables are drawn."""
    page.wait_for_selector("#ladder .near button")
    page.wait_for_timeout(600)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_stock_view_fits_every_width_in_both_themes(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path, theme: str
) -> None:
    for width in WIDTHS:
        size = {"width": width, "height": 900}
        with watched_page(browser, exchange.url, viewport=size, color_scheme=theme) as watched:
            page = watched.open("#/stock/PETR4")
            settled(page)
            assert page.evaluate(OVERFLOW) == 0, width
            page.screenshot(path=tmp_path / f"stock-{theme}-{width}.png", full_page=True)


def test_trading_view_of_the_readme_is_taken_from_a_moving_market(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path
) -> None:
    walk(market, "PETR4")
    with watched_page(browser, exchange.url, color_scheme="dark") as watched:
        page = watched.open("#/stock/PETR4")
        watched.sign_in(exchange.register("Alfa Corretora"))
        for side, price in (("b", "36.90"), ("s", "36.50")):
            page.keyboard.press("Escape")
            page.keyboard.press(side)
            page.fill("#field-price", price)
            page.fill("#field-quantity", "300")
            page.fill("#field-document_number", "12345678901")
            page.keyboard.press("Enter")
            page.keyboard.press("Enter")
            expect(page.locator(".notes")).to_contain_text(f"300 PETR4 at {price}")
        expect(page.locator(".fills tbody tr").first).to_be_visible()
        settled(page)
        page.screenshot(path=folder(tmp_path) / "page.png", full_page=True)


def walk(market: Api, symbol: str) -> None:
    """Trades at many prices, so that the candle has a body and a wick."""
    rng = random.Random(7)
    for _ in range(40):
        price = 3700 + rng.randrange(-12, 13)
        market.place("ask", symbol, 100 * rng.randrange(1, 9), price)
        market.place("bid", symbol, 100 * rng.randrange(1, 9), price)


def test_operations_view_names_the_sink_that_is_stopped(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path
) -> None:
    size = {"width": 1440, "height": 760}
    with watched_page(browser, exchange.url, viewport=size) as watched:
        page = watched.open("#/operations")
        expect(page.locator(".sentence")).to_have_text("All stages keep up.", timeout=15_000)
        state = market.get("/operations").body
        names = [each["claim"]["matcher"] for each in state["partitions"]]
        for row, name in zip(page.locator(".partitions tbody tr").all(), names, strict=True):
            expect(row).to_contain_text(name)
        commands = re.compile(
            r"Now all .+ \(solid\), orders .+ \(dashed\), cancels .+ \(dotted\)\."
        )
        expect(page.locator(".chart-commands .summary")).to_have_text(commands)
        ages = re.compile(
            r"Now p50 [\d.]+K? \(solid\), p99 [\d.]+K? \(dashed\), highest .+ \(dotted\)\."
        )
        market.place("bid", "ABEV3", 100, 1)
        expect(page.locator(".chart-outcome-age-p50-ms .summary")).to_have_text(ages)
        expect(line(page, "Symbols")).to_have_text(f"{state['process']['symbols']:,}")
        expect(line(page, "Open orders")).to_have_text(f"{state['process']['open_orders']:,}")
        # This page's; others of the same gateway may be open.
        expect(line(page, "Connections")).not_to_have_text("0")
        expect(line(page, "Pending")).to_have_text("0")
        expect(line(page, "Parked")).to_have_text("0")
        try:
            exchange.stack.stop("sink")
            seed_market(market, ("OPERAT3",))
            sentence = page.locator(".sentence")
            expect(sentence).to_contain_text("The sink is behind: ", timeout=20_000)
            expect(page.locator('.stages [data-state="behind"]')).to_contain_text("Sink")
            page.screenshot(path=folder(tmp_path) / "operations.png", full_page=True)
            pictures(page, tmp_path, "operations-sink")
        finally:
            exchange.stack.start("sink")
            exchange.stack.wait_ready("sink")
        expect(page.locator(".sentence")).to_have_text("All stages keep up.", timeout=20_000)
        # The gateway ends a connection without subscriptions after 10 s.
        assert len(watched.sockets) == 1


def line(page: Page, name: str) -> Locator:
    """The figure beside a name in a table of the operations view."""
    cell = page.get_by_role("cell", name=name, exact=True)
    return page.locator("tr").filter(has=cell).locator("td").last
