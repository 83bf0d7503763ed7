"""Accessibility of every view: axe's rules, names, contrast themes, reflow and forced colours."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from conformance.api import Api
from tests.browser.chromium import Line, Watched, watched_page
from tests.browser.test_connection import LADDER_STYLES
from tests.browser.test_trading import fill_ticket
from tests.support.exchange import Exchange

VIEWS = ("#/market", "#/stock/PETR4", "#/operations")
# The axe script is ours to inject: the page's own policy forbids it, as it should.
OPTIONS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(watched: Watched, part: str = "html") -> list[tuple[str, str]]:
    """Rule and place of each violation in the part of the page with this selector, as it is."""
    found = Axe().run(watched.page, part, OPTIONS).response["violations"]
    return [(each["id"], node["html"][:120]) for each in found for node in each["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_views_and_dialogs_have_no_violations(
    browser: Browser, exchange: Exchange, market: Api, theme: str
) -> None:
    with watched_page(browser, exchange.url, color_scheme=theme, bypass_csp=True) as watched:
        for view in VIEWS:
            watched.open(view)
            watched.page.wait_for_timeout(700)
            assert violations(watched) == [], view
        page = watched.open("#/stock/PETR4")
        watched.sign_in(market.key or "")
        page.wait_for_selector("#orders tbody tr")
        for details in page.locator("details > summary").all():
            details.click()
        page.fill("#field-price", "x")
        page.keyboard.press("Enter")
        assert violations(watched) == [], "signed in, with faults"
        page.click("#help")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        assert violations(watched, "dialog") == [], "help"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_order_dialogs_and_states_of_the_connection_have_no_violations(
    browser: Browser, exchange: Exchange, market: Api, theme: str
) -> None:
    api = Api(exchange.url, exchange.register(f"Dialogs in {theme}"))
    # A small book: axe looks at every element.
    api.place("bid", "AXES3", 100, 3001)
    market.place("ask", "AXES3", 200, 3003)
    with watched_page(browser, exchange.url, color_scheme=theme, bypass_csp=True) as watched:
        line = Line(watched.page)
        page = watched.open("#/stock/AXES3")
        page.click("#key")
        expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        assert violations(watched, "dialog") == [], "sign in"
        page.keyboard.press("Escape")
        watched.sign_in(api.key or "")
        page.click("#orders button:text('Change')")
        page.fill("#replace-price", "x")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Change: buy 100 AXES3 at 30.01")).to_be_visible()
        assert violations(watched, "dialog") == [], "change an order"
        page.keyboard.press("Escape")
        page.click("#orders button:text('Cancel all')")
        expect(page.get_by_role("dialog", name="Cancel 1 open order of")).to_be_visible()
        assert violations(watched, "dialog") == [], "cancel all"
        page.keyboard.press("Escape")
        page.route("**/orders", lambda route: route.abort())
        fill_ticket(page, "30.02", "100")
        page.keyboard.press("Enter")
        assert violations(watched, "#ticket") == [], "summary of an order"
        page.keyboard.press("Enter")
        expect(page.locator(".ticket .status")).to_contain_text("Outcome unknown")
        assert violations(watched, "#ticket") == [], "unknown outcome"
        page.clock.install()
        line.is_silent = True
        page.clock.fast_forward(9_000)
        expect(page.locator("#banner")).to_contain_text("No news from the exchange.")
        expect(page.locator("#connection")).to_contain_text("stale for ")
        assert page.evaluate(LADDER_STYLES)[0][0] == "italic"
        assert violations(watched) == [], "stale"
        page.clock.fast_forward(7_000)
        expect(page.locator('#connection[data-state="reconnecting"]')).to_be_visible()
        assert violations(watched) == [], "reconnecting"
        watched.expect_errors("ERR_FAILED")


@pytest.mark.parametrize("view", VIEWS)
def test_page_reflows_at_400_percent(
    browser: Browser, exchange: Exchange, market: Api, view: str
) -> None:
    # 1280 CSS pixels at 400 % are 320.
    with watched_page(browser, exchange.url, viewport={"width": 320, "height": 256}) as watched:
        page = watched.open(view)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_forced_colours_and_reduced_motion_are_usable(
    browser: Browser, exchange: Exchange, market: Api, tmp_path: Path
) -> None:
    options = {"forced_colors": "active", "reduced_motion": "reduce"}
    with watched_page(browser, exchange.url, **options) as watched:
        page = watched.open("#/stock/PETR4")
        page.wait_for_selector("#ladder .near button")
        assert page.screenshot(path=tmp_path / "forced-colours.png")
        expect(page.locator("button:text('Review order')")).to_be_visible()


def test_controls_have_sensible_names(watched: Watched, exchange: Exchange) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Names"))
    for role, name in (
        ("link", "Market"),
        ("link", "Operations"),
        ("combobox", "Symbol"),
        ("button", "Sign out Names"),
        ("button", "Theme: automatic"),
        ("button", "Keyboard shortcuts"),
        ("radio", "Buy"),
        ("radio", "Sell"),
        ("textbox", "Price"),
        ("textbox", "Quantity"),
        ("textbox", "Document number"),
        ("button", "Review order"),
        ("button", "Earlier"),
        ("button", "Later"),
        ("button", "Zoom in"),
        ("button", "Zoom out"),
        ("button", "Back to now"),
        ("table", "Watch list"),
        ("table", "Asks"),
        ("table", "Bids"),
        ("table", "Newest trades"),
        ("table", "Own open orders"),
        ("log", "What happened"),
        ("region", "Price ladder"),
        ("region", "Order ticket"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)  # type: ignore[arg-type]
