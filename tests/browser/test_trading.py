"""Trading on the page by keyboard alone, and what becomes of refused and unanswered orders."""

import json

from playwright.sync_api import Page, expect

from conformance.api import Api
from tests.browser.chromium import Watched
from tests.support.exchange import Exchange


def fill_ticket(page: Page, price: str, quantity: str, document: str = "123") -> None:
    """Type an order; the ticket has the focus in its field of the price."""
    page.focus("#field-price")
    page.keyboard.type(price)
    page.keyboard.press("Tab")
    page.keyboard.type(quantity)
    page.keyboard.press("Tab")
    page.keyboard.type(document)


def note(page: Page, text: str) -> None:
    """Wait until this is in the list of what happened."""
    expect(page.locator(".notes")).to_contain_text(text)


def orders_sent(watched: Watched) -> list[dict[str, object]]:
    return [json.loads(body) for _, path, body in watched.sent if path == "/orders"]


def test_order_is_placed_and_cancelled_by_keyboard_alone(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Keyboard")
    page = watched.open()
    watched.sign_in(key)
    page.keyboard.press("/")
    page.keyboard.type("petr4")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("PETR4")
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    assert page.evaluate("document.activeElement.id") == "field-price"
    fill_ticket(page, "30.01", "200")
    page.keyboard.press("Enter")
    expect(page.locator(".confirm .line")).to_have_text("Buy 200 PETR4 at 30.01 = 6,002.00")
    assert orders_sent(watched) == []
    page.keyboard.press("Enter")
    note(page, "Placed: buy 200 PETR4 at 30.01: it rests in the book.")
    row = page.locator("#orders tbody tr")
    expect(row).to_contain_text("30.01")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    note(page, "Cancelled: buy 200 PETR4 at 30.01.")
    expect(row).to_have_count(0)
    (sent,) = orders_sent(watched)
    found = Api(exchange.url, key).get(f"/orders?client_order_id={sent['client_order_id']}").body
    assert [each["closed_reason"] for each in found["orders"]] == ["cancelled"]
