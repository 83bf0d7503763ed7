"""Conditions of orders in the ticket, and what the exchange makes of them in words."""

from playwright.sync_api import Page, expect

from conformance.api import Api
from tests.browser.chromium import Watched
from tests.browser.test_phases import set_phase
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


def test_iceberg_order_shows_another_part_after_a_change_from_the_list(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Iceberg")
    page = watched.open("#/stock/ICEBERG3")
    watched.sign_in(key)
    fill_ticket(page, "20.10", "1000")
    page.fill("#field-display_quantity", "100")
    page.keyboard.press("Enter")
    expect(page.locator(".confirm .line")).to_contain_text("display quantity 100")
    page.keyboard.press("Enter")
    row = page.locator("#orders tbody tr")
    expect(row).to_contain_text("shows 100")
    page.click("#orders button:text('Change')")
    shown = page.locator("dialog").get_by_label("Display quantity")
    expect(shown).to_have_value("100")
    fault = page.locator("#replace-display_quantity-fault")
    for wrong, why in (("x", "write a whole number"), ("2", "one share in")):
        shown.fill(wrong)
        page.keyboard.press("Enter")
        expect(fault).to_contain_text(why)
    shown.fill("300")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("shows 300")
    (order,) = Api(exchange.url, key).get("/orders").body["orders"]
    assert (order["display_quantity"], order["quantity"]) == (300, 1000)
    page.click("#orders button:text('Change')")
    shown.fill("0")
    page.keyboard.press("Enter")
    expect(row).not_to_contain_text("shows")
    page.click("#orders button:text('Change')")
    expect(page.locator("#replace-quantity")).to_be_visible()
    expect(shown).to_have_count(0)
    watched.expect_errors("status of 422")


def test_day_order_of_the_ticket_ends_when_the_market_closes(
    watched: Watched, exchange: Exchange
) -> None:
    symbol = "DAYORDER3"
    give_instrument(exchange, symbol)
    key = exchange.register("Day")
    page = watched.open(f"#/stock/{symbol}")
    watched.sign_in(key)
    fill_ticket(page, "20.10", "300")
    page.select_option("#field-time_in_force", label="Until the market closes")
    expect(page.locator("#field-valid_until")).to_be_hidden()
    page.click("button:text('Review order')")
    expect(page.locator(".confirm .line")).to_contain_text("until the market closes")
    page.keyboard.press("Enter")
    row = page.locator("#orders tbody tr")
    expect(row).to_contain_text("day")
    (order,) = Api(exchange.url, key).get("/orders").body["orders"]
    assert order["time_in_force"] == "day"
    set_phase(exchange, symbol, "closed")
    expect(row).to_have_count(0)
    closed = Api(exchange.url, key).get(f"/orders/{order['order_id']}").body
    assert (closed["status"], closed["closed_reason"]) == ("closed", "expired")
