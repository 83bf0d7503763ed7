"""The page while its connection is lost, hidden or back: states in words, and nothing lost."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from conformance.api import Api, eventually
from tests.browser.chromium import Line, Watched
from tests.support.exchange import Exchange

# Messages of the browser itself about connections that the tests cut.
CUT = ("WebSocket connection", "ERR_CONNECTION", "ERR_INTERNET_DISCONNECTED", "status of 503")
PRICES = """(side) => [...document.querySelectorAll(`#ladder .${side}`)].map((row) =>
    [row.cents, row.cells[1].textContent, row.cells[2].textContent])"""
# Each style and colour of a number of the ladder, once: buyers and sellers differ while live.
LADDER_STYLES = """() => [...new Set(
    [...document.querySelectorAll("#ladder td.number, #ladder button.price")].map((each) => {
      const { fontStyle, color } = getComputedStyle(each);
      return JSON.stringify([fontStyle, color]);
    }))].map(JSON.parse)"""
# The page as it was loaded from a gateway that has another version now.
BEFORE_THE_UPDATE = """new MutationObserver((_, observer) => {
  const version = document.querySelector('meta[name="page-version"]');
  if (!version) return;
  version.content = "0123456789ab";
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });"""
# The state at each drawing of the connection from now on.
FOLLOW_STATES = """() => {
  window.states = [];
  const place = document.getElementById("connection");
  new MutationObserver(() => window.states.push(place.dataset.state))
    .observe(place, { childList: true, characterData: true, subtree: true, attributes: true });
}"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def ladder_equals_rest(page: Page, api: Api, symbol: str) -> None:
    """Wait until the ladder on the page shows the book of REST."""
    book = api.get(f"/stocks/{symbol}/book?depth=50").body
    for side in ("bids", "asks"):
        wanted = [
            [each["price"], f"{each['total_quantity']:,}", str(each["order_count"])]
            for each in book[side]
        ]
        wanted = wanted[::-1] if side == "asks" else wanted
        page.wait_for_function(
            f"([side, wanted]) => JSON.stringify(({PRICES})(side)) === JSON.stringify(wanted)",
            arg=[side, wanted],
        )


def test_ladder_and_trades_equal_rest_after_flow(watched: Watched, market: Api) -> None:
    page = watched.open("#/stock/VALE3")
    for price in (6090, 6120, 6100, 6110):
        market.place("bid", "VALE3", 700, price)
        market.place("ask", "VALE3", 300, price)
    ladder_equals_rest(page, market, "VALE3")
    trades = market.get("/stocks/VALE3/trades?limit=100").body["trades"]
    expect(page.locator(".tape tbody tr")).to_have_count(len(trades))
    shown = page.locator(".tape tbody tr").first.inner_text()
    assert f"{trades[0]['price'] / 100:.2f}" in shown


@pytest.mark.parametrize("outage_s", [1, 30])
def test_lost_gateway_is_announced_and_the_page_catches_up(
    watched: Watched, exchange: Exchange, market: Api, outage_s: int
) -> None:
    symbol = f"OUTAGE{outage_s}"
    market.place("bid", symbol, 100, 3390)
    market.place("ask", symbol, 100, 3410)
    page = watched.open(f"#/stock/{symbol}")
    watched.sign_in(exchange.register(f"Outage of {outage_s} s"))
    page.fill("#field-price", "11.11")
    page.wait_for_selector("#ladder .near button")
    styles_live = page.evaluate(LADDER_STYLES)
    assert {style for style, _ in styles_live} == {"normal"}
    try:
        exchange.stack.stop("gateway")
        expect(page.locator('#connection[data-state="reconnecting"]')).to_be_visible()
        expect(page.locator("#banner")).to_contain_text("The connection is lost")
        expect(page.locator("button:text('Review order')")).to_be_disabled()
        ((style, _),) = page.evaluate(LADDER_STYLES)
        assert style == "italic"
        page.wait_for_timeout(outage_s * 1000)
        expect(page.locator("#banner")).to_contain_text("The last message came at")
    finally:
        exchange.stack.start("gateway")
        exchange.stack.wait_ready("gateway")
    market.place("bid", symbol, 900, 3400)
    market.place("ask", symbol, 900, 3400)
    expect(page.locator('#connection[data-state="live"]')).to_be_visible(timeout=20_000)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#field-price")).to_have_value("11.11")
    expect(page.locator("#key")).to_have_text(f"Outage of {outage_s} s")
    ladder_equals_rest(page, market, symbol)
    assert page.evaluate(LADDER_STYLES) == styles_live
    expect(page.locator(".tape tbody tr").first).to_contain_text("34.00900")
    watched.expect_errors(*CUT)


def test_newer_page_of_the_gateway_is_announced_and_not_loaded(watched: Watched) -> None:
    watched.page.add_init_script(BEFORE_THE_UPDATE)
    page = watched.open("#/stock/PETR4")
    expect(page.locator("#banner")).to_have_text("A newer page is here: load it when it suits you.")
    page.wait_for_selector("#ladder .near button")


def test_page_of_the_calls_works_under_its_own_policy(watched: Watched) -> None:
    page = watched.page
    page.goto(f"{watched.url}/docs")
    expect(page.locator(".opblock").first).to_be_visible()


def test_connection_that_ends_unused_is_replaced_without_an_alarm(watched: Watched) -> None:
    # The gateway does this every 10 s to a page that waits for a key.
    line = Line(watched.page)
    page = watched.open("#/market")
    page.evaluate(FOLLOW_STATES)
    line.connections[0].close(code=4408)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    page.wait_for_function("() => window.states.length > 1")
    assert set(page.evaluate("window.states")) == {"live"}
    assert len(line.connections) == 2


def test_offline_browser_reconnects_when_it_is_online_again(watched: Watched) -> None:
    page = watched.open("#/stock/PETR4")
    watched.context.set_offline(True)
    expect(page.locator('#connection[data-state="reconnecting"]')).to_be_visible()
    watched.context.set_offline(False)
    expect(page.locator('#connection[data-state="live"]')).to_be_visible()
    watched.expect_errors(*CUT)


def test_hidden_tab_ends_its_subscriptions_and_takes_them_up_again(
    watched: Watched, market: Api
) -> None:
    sent: list[dict[str, Any]] = []

    def follow(socket: Any) -> None:
        socket.on("framesent", lambda frame: sent.append(json.loads(frame)))

    watched.page.on("websocket", follow)
    page = watched.open("#/stock/BBAS3")
    page.wait_for_selector("#ladder .near button")
    page.clock.install()
    page.evaluate(HIDE, True)
    page.clock.run_for(11_000)

    def ended() -> bool:
        # Frames are seen during calls of the browser.
        page.wait_for_timeout(50)
        channels = {each["channel"] for each in sent if each["op"] == "unsubscribe"}
        return channels >= {"ladder", "trades", "ticker"}

    eventually("the subscriptions end", ended)
    market.place("bid", "BBAS3", 1100, 2600)
    page.evaluate(HIDE, False)
    ladder_equals_rest(page, market, "BBAS3")


def test_unknown_symbol_is_an_empty_market(watched: Watched) -> None:
    page = watched.open("#/stock/NOSUCH1")
    expect(page.locator(".spread")).to_have_text("the order book is empty")
    expect(page.locator(".tape .empty")).to_have_text("No trades yet.")
    expect(page.locator(".chart .summary")).to_have_text("No trades yet.")
    expect(page.locator(".quote .note")).to_contain_text("not listed")
