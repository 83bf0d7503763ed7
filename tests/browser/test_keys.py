"""Keys on the page: wrong ones, revoked ones, where they are kept; and markup in names."""

from playwright.sync_api import expect

from conformance.api import Api
from services.admin.brokers import revoke_broker
from tests.browser.chromium import Watched
from tests.support.exchange import Exchange

MARKUP = "<img src=x onerror=alert(1)><b>Bold</b>"
STORED = """JSON.stringify([document.documentElement.outerHTML, location.href, document.cookie,
    {...localStorage}, {...sessionStorage}, history.state])"""


def test_wrong_key_and_admin_key_are_refused_in_words(watched: Watched, exchange: Exchange) -> None:
    page = watched.open()
    page.click("#key")
    for key, why in ((f"ex_{'0' * 40}", "mistyped, revoked"), (exchange.admin_key, "admin key")):
        page.fill("#key-field", key)
        page.keyboard.press("Enter")
        expect(page.locator("#key-fault")).to_contain_text(why)
    page.keyboard.press("Escape")
    expect(page.locator("#key")).to_have_text("Sign in")


def test_key_is_in_no_storage_and_markup_in_a_name_stays_text(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register(MARKUP)
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)
    expect(page.locator("#key")).to_have_text(MARKUP)
    expect(page.locator(".notes")).to_contain_text(f"Signed in as {MARKUP}.")
    assert key not in page.evaluate(STORED)
    Api(exchange.url, key).place("bid", "PETR4", 100, 1)
    page.click("#orders button:text('Cancel all')")
    expect(page.locator("#question")).to_have_text(f"Cancel 1 open order of {MARKUP}?")
    page.keyboard.press("Escape")
    assert page.locator("img, b").count() == 0
    page.fill("#field-document_number", "<script>x</script>")
    page.goto(f"{watched.url}/#/stock/{MARKUP}")
    expect(page.locator("h1")).to_have_text("No such symbol")
    assert page.locator("main img").count() == 0
    page.click("#key")
    expect(page.locator("#key")).to_have_text("Sign in")


def test_revoked_key_ends_the_session_and_keeps_what_was_typed(
    watched: Watched, exchange: Exchange
) -> None:
    key = exchange.register("Revoked")
    page = watched.open("#/stock/PETR4")
    watched.sign_in(key)
    page.fill("#field-price", "12.34")
    expect(page.locator("#key")).to_have_text("Revoked")
    broker_id = Api(exchange.url, key).get("/balance").body["broker_id"]
    revoke_broker(exchange.stack.operator, broker_id)
    expect(page.locator("#key")).to_have_text("Sign in", timeout=10_000)
    expect(page.locator(".notes")).to_contain_text("revoked or replaced")
    expect(page.locator("#field-price")).to_have_value("12.34")
    expect(page.locator('#connection[data-state="live"]')).to_be_visible(timeout=10_000)
    watched.expect_errors("status of 401")


def test_key_is_forgotten_after_half_an_hour_without_input(
    watched: Watched, exchange: Exchange
) -> None:
    watched.page.clock.install()
    page = watched.open("#/stock/PETR4")
    watched.sign_in(exchange.register("Idle"))
    page.fill("#field-price", "12.34")
    page.clock.fast_forward("29:00")
    page.focus("#field-quantity")
    page.keyboard.press("1")
    page.clock.fast_forward("29:00")
    expect(page.locator("#key")).to_have_text("Idle")
    page.clock.fast_forward("01:10")
    expect(page.locator("#key")).to_have_text("Sign in")
    expect(page.locator(".notes")).to_contain_text("Signed out after 30 minutes without input.")
    expect(page.locator("#field-price")).to_have_value("12.34")
