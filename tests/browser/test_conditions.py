"""Conditions of orders in the ticket, and what the exchange makes of them in words."""

from playwright.sync_api import Page, expect

from conformance.api import Api
from tests.browser.chromium import Watched
from tests.support.exchange import Exchange

INSTRUMENT = {"reference_price": 2000}


def give_instrument(exchange: Exchange, symbol: str) -> None:
    """Give the symbol an instrument, which some conditions need."""
    answer = exchange.admin().call("PUT", f"/admin/stocks/{symbol}", INSTRUMENT)
    assert answer.status == 200, answer


def fill_ticket(page: Page, price: str, quantity: str) -> None:
    """A limit bid."""
    page.fill("#field-price", price)
    page.fill("#field-quantity", quantity)
    page.fill("#field-document_number", "12345678901")
    page.locator("details:has(#field-self_trade_prevention) > summary").click()


def test_own_trade_is_prevented_as_chosen_and_the_reason_is_shown(
    watched: Watched, exchange: Exchange, market: Api
) -> None:
    symbol = "OWNTRADE3"
    give_instrument(exchange, symbol)
    key = exchange.register("Both Sides")
    Api(exchange.url, key).place("ask", symbol, 500, 2010)
    page = watched.open(f"#/stock/{symbol}")
    watched.sign_in(key)
    fill_ticket(page, "20.10", "300")
    page.select_option("#field-self_trade_prevention", "cancel_taker")
    page.click("button:text('Review order')")
    summary = page.locator(".ticket")
    expect(summary).to_contain_text("against own orders of this document: close this order")
    page.keyboard.press("Enter")
    expect(page.locator(".notes")).to_contain_text("it would have traded with an own order")
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    page.select_option("#field-self_trade_prevention", "cancel_maker")
    page.fill("#field-price", "20.10")
    page.fill("#field-quantity", "300")
    page.click("button:text('Review order')")
    page.keyboard.press("Enter")
    rows = page.locator("#orders tbody tr")
    expect(rows.filter(has_text="Buy")).to_contain_text("no own trades")
    expect(rows.filter(has_text="Sell")).to_have_count(0)
