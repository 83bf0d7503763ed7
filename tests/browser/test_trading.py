"""Trading on the page by keyboard alone, and what becomes of refused and unanswered orders."""

import json

from playwright.sync_api import Page, Route, expect

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


def review(page: Page, price: str, quantity: str) -> None:
    """Fill the ticket of PETR4 and go on to the summary."""
    fill_ticket(page, price, quantity)
    page.keyboard.press("Enter")


def test_faults_stand_at_their_fields_and_what_was_typed_stays(
    watched: Watched, exchange: Exchange
) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Faulty"))
    review(page, "30.011", "")
    expect(page.locator("#field-price-fault")).to_have_text("write a price such as 37.12")
    expect(page.locator("#field-quantity-fault")).to_have_text("is needed")
    assert page.evaluate("document.activeElement.id") == "field-price"
    assert orders_sent(watched) == []
    page.fill("#field-price", "30.01")
    page.fill("#field-quantity", "1000000001")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#field-quantity-fault")).to_contain_text("1000000000")
    expect(page.locator("#field-quantity")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-quantity")).to_have_value("1000000001")
    note(page, "Refused: Buy 1,000,000,001 PETR4 at 30.01.")
    watched.expect_errors("status of 422")


def test_refusal_of_the_matcher_is_shown_in_words(watched: Watched, exchange: Exchange) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Post-only"))
    fill_ticket(page, "99.99", "100")
    page.click(".ticket summary")
    page.check("#field-post_only")
    page.click(".ticket button.primary")
    expect(page.locator(".confirm .line")).to_contain_text("post-only")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket form > .fault")).to_contain_text("post-only order would trade")
    watched.expect_errors("status of 409")


def test_order_without_an_answer_is_found_and_never_sent_twice(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Cut off")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)

    def lose_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/orders", lose_answer, times=1)
    review(page, "30.02", "300")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket .status")).to_contain_text("Outcome unknown: Buy 300 PETR4")
    expect(page.locator("button:text('Review order')")).to_be_disabled()
    note(page, "Placed: buy 300 PETR4 at 30.02: it rests in the book.")
    assert len(orders_sent(watched)) == 1
    assert len(Api(exchange.url, key).get("/orders").body["orders"]) == 1
    watched.expect_errors("ERR_FAILED")


def test_order_that_never_arrived_is_reported_as_not_placed(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Unheard")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)
    page.route("**/orders", lambda route: route.abort(), times=1)
    review(page, "30.03", "400")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket .status")).to_contain_text("Outcome unknown")
    expect(page.locator(".ticket form > .fault")).to_contain_text(
        "never received this order", timeout=20_000
    )
    expect(page.locator("#field-quantity")).to_have_value("400")
    assert Api(exchange.url, key).get("/orders").body["orders"] == []
    watched.expect_errors("ERR_FAILED")


def test_value_above_the_own_limit_asks_for_the_quantity_again(
    watched: Watched, exchange: Exchange
) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Careful"))
    page.click(".ticket summary")
    page.fill("#limit", "1000")
    page.keyboard.press("Tab")
    review(page, "30.04", "500")
    assert page.evaluate("document.activeElement.id") == "again"
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    assert orders_sent(watched) == []
    page.fill("#again", "500")
    page.keyboard.press("Enter")
    note(page, "Placed: buy 500 PETR4 at 30.04")


def test_ladder_row_fills_the_price_and_sends_nothing(watched: Watched, exchange: Exchange) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Ladder"))
    page.wait_for_selector("#ladder .near button")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.keyboard.press("ArrowDown")
    shown = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.locator("#field-price")).to_have_value(shown)
    assert orders_sent(watched) == []


def test_open_order_gets_new_values_from_the_list(watched: Watched, exchange: Exchange) -> None:
    key = exchange.register("Changing")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)
    review(page, "30.05", "600")
    page.keyboard.press("Enter")
    page.click("#orders button:text('Change')")
    page.keyboard.press("Escape")
    page.click("#orders button:text('Change')")
    page.fill("#replace-price", "x")
    page.keyboard.press("Enter")
    expect(page.locator("dialog .fault")).to_contain_text("such as 37.12")
    page.fill("#replace-price", "30.06")
    page.fill("#replace-quantity", "450")
    page.keyboard.press("Enter")
    note(page, "Changed: buy 450 PETR4 at 30.06: it rests in the book.")
    expect(page.locator("#orders tbody tr")).to_contain_text("450 of 450")
    (order,) = Api(exchange.url, key).get("/orders").body["orders"]
    assert (order["price"], order["quantity"]) == (3006, 450)


def test_stop_order_of_a_symbol_without_an_instrument_is_refused_in_words(
    watched: Watched, exchange: Exchange
) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Stop"))
    page.check("#field-order_type-stop")
    expect(page.locator("#field-price")).to_be_hidden()
    page.fill("#field-stop_price", "99.00")
    page.fill("#field-quantity", "700")
    page.fill("#field-document_number", "123")
    page.keyboard.press("Enter")
    expect(page.locator(".confirm .line")).to_have_text(
        "Buy 700 PETR4 at the market's price once 99.00 is traded"
    )
    page.keyboard.press("Enter")
    expect(page.locator(".ticket form > .fault")).to_contain_text("symbols with an instrument only")
    expect(page.locator("#field-stop_price")).to_have_value("99.00")
    watched.expect_errors("status of 4")
