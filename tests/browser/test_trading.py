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


def focused(page: Page) -> str:
    """The text of the element that has the focus."""
    return str(page.evaluate("document.activeElement.textContent"))


def test_order_is_placed_changed_and_cancelled_by_keyboard_alone(
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
    fill_ticket(page, "30.01", "200", "9" * 20)
    page.keyboard.press("Enter")
    expect(page.locator(".confirm .line")).to_have_text("Buy 200 PETR4 at 30.01 = 6,002.00")
    assert orders_sent(watched) == []
    page.keyboard.press("Enter")
    note(page, "Placed: buy 200 PETR4 at 30.01: it rests in the book.")
    assert focused(page) == "Review order"
    row = page.locator("#orders tbody tr")
    expect(row).to_contain_text("30.01")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("30.07")
    page.keyboard.press("Enter")
    note(page, "Changed: buy 200 PETR4 at 30.07: it rests in the book.")
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    note(page, "Cancelled: buy 200 PETR4 at 30.07.")
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
    expect(page.locator("#field-quantity-fault")).to_have_text("is at most 1,000,000,000")
    expect(page.locator("#field-quantity")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-quantity")).to_have_value("1000000001")
    note(page, "The request is not acceptable. Quantity: is at most 1,000,000,000")
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


def lose_answer(route: Route) -> None:
    """Let the request take effect and the page not know it."""
    route.fetch()
    route.abort()


def test_order_without_an_answer_is_found_and_never_sent_twice(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Cut off")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)

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
    shown = focused(page)
    second = page.locator("#ladder .near tbody button").nth(1)
    expect(second).to_have_text(shown)
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
    expect(page.locator("#replace-price-fault")).to_have_text("write a price such as 37.12")
    page.fill("#replace-price", "30.06")
    page.fill("#replace-quantity", "1000000001")
    page.keyboard.press("Enter")
    expect(page.locator("#replace-quantity-fault")).to_have_text("is at most 1,000,000,000")
    assert page.evaluate("document.activeElement.id") == "replace-quantity"
    page.fill("#replace-quantity", "450")
    page.keyboard.press("Enter")
    note(page, "Changed: buy 450 PETR4 at 30.06: it rests in the book.")
    expect(page.locator("#orders tbody tr")).to_contain_text("450 of 450")
    (order,) = Api(exchange.url, key).get("/orders").body["orders"]
    assert (order["price"], order["quantity"]) == (3006, 450)
    watched.expect_errors("status of 422")


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


def test_enter_that_is_held_down_sends_one_order(watched: Watched, exchange: Exchange) -> None:
    key = exchange.register("Heavy hand")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)
    review(page, "30.08", "100")
    for _ in range(12):
        page.keyboard.down("Enter")
        page.wait_for_timeout(25)
    page.keyboard.up("Enter")
    note(page, "Placed: buy 100 PETR4 at 30.08")
    assert len(orders_sent(watched)) == 1


def test_button_with_the_focus_stays_that_of_its_order(
    watched: Watched, exchange: Exchange
) -> None:
    api = Api(exchange.url, exchange.register("Focus"))
    for price in (3011, 3012):
        api.place("bid", "PETR4", 100, price)
    page = watched.open("#/stock/PETR4")
    watched.sign_in(api.key or "")
    rows = page.locator("#orders tbody tr")
    expect(rows).to_have_count(2)
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    api.place("bid", "PETR4", 100, 3013)
    expect(rows).to_have_count(3)
    page.keyboard.press("Enter")
    note(page, "Cancelled: buy 100 PETR4 at 30.12.")
    expect(rows).to_have_count(2)
    # Nor does the button of another order get the focus: a second Enter would cancel that.
    assert page.evaluate("document.activeElement.matches('#orders .scroll')")


def test_order_of_unknown_outcome_is_not_looked_for_as_another_broker(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Sender")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)

    page.route("**/orders", lose_answer, times=1)
    page.route("**/orders?*", lambda route: route.abort())
    review(page, "30.09", "300")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket .status")).to_contain_text("Outcome unknown")
    page.click("#key")
    watched.sign_in(exchange.register("Successor"))
    note(page, "Outcome unknown: Buy 300 PETR4 at 30.09. It was sent for Sender")
    expect(page.locator("button:text('Review order')")).to_be_enabled()
    expect(page.locator(".notes")).not_to_contain_text("never received")
    assert len(orders_sent(watched)) == 1
    watched.expect_errors("ERR_FAILED")


REFUSALS = (
    ({"price": "0"}, "price", "is at least 0.01"),
    ({"price": "10000000.01"}, "price", "is at most 10,000,000.00"),
    ({"quantity": "0"}, "quantity", "is at least 1"),
    ({"minimum_quantity": "200"}, "minimum_quantity", "quantity"),
    ({"display_quantity": "200"}, "display_quantity", "quantity"),
    ({"valid_until": "2020-01-01T00:00"}, "valid_until", "too long ago"),
)


def test_every_refused_field_says_so_and_keeps_what_was_typed(
    watched: Watched, exchange: Exchange
) -> None:
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Refused"))
    page.click(".ticket details summary")
    for texts, field, why in REFUSALS:
        given = {"price": "30.10", "quantity": "100", "document_number": "9" * 20} | texts
        for name, text in given.items():
            page.fill(f"#field-{name}", text)
        page.focus("#field-price")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(page.locator(f"#field-{field}-fault")).to_contain_text(why)
        expect(page.locator(f"#field-{field}")).to_have_value(texts[field])
        page.fill(f"#field-{field}", "")
    assert len(orders_sent(watched)) == len(REFUSALS)
    watched.expect_errors("status of 422")
