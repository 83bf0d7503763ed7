"""Halts, closes and rules of a symbol: shown in the views, and why orders are refused in words."""

from playwright.sync_api import expect

from conformance.api import Api
from tests.browser.chromium import Watched
from tests.support.exchange import Exchange

SYMBOL = "HALTED3"
# Tickers, which have the phase, come once a second.
TOLD_MS = 4_000


def set_rules(exchange: Exchange, symbol: str) -> None:
    """Give a symbol an instrument, without which it has no phases."""
    rules = {"reference_price": 2000}
    assert exchange.admin().call("PUT", f"/admin/stocks/{symbol}", rules).status == 200


def set_phase(exchange: Exchange, symbol: str, phase: str) -> None:
    """Change the phase of a symbol as an operator does."""
    answer = exchange.admin().call("POST", f"/admin/stocks/{symbol}/phase", {"phase": phase})
    assert answer.status == 200, answer


def test_halt_is_shown_and_refuses_orders_in_words_until_trading_continues(
    watched: Watched, exchange: Exchange, market: Api
) -> None:
    set_rules(exchange, SYMBOL)
    market.place("ask", SYMBOL, 500, 2010)
    page = watched.open(f"#/stock/{SYMBOL}")
    expect(page.locator(".watch")).to_contain_text(SYMBOL)
    watched.sign_in(exchange.register("Halted"))
    set_phase(exchange, SYMBOL, "halted")
    note = page.locator(".quote .note")
    expect(note).to_contain_text("halted: nothing is traded", timeout=TOLD_MS)
    page.fill("#field-price", "20.10")
    page.fill("#field-quantity", "300")
    page.fill("#field-document_number", "12345678901")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket")).to_contain_text("is halted. Orders are neither")
    expect(page.locator("#field-quantity")).to_have_value("300")
    page.goto(f"{watched.url}/#/market")
    row = page.locator("tbody tr", has_text=SYMBOL)
    expect(row).to_contain_text("halted", timeout=TOLD_MS)
    set_phase(exchange, SYMBOL, "continuous")
    expect(row).not_to_contain_text("halted", timeout=TOLD_MS)
    page.goto(f"{watched.url}/#/stock/{SYMBOL}")
    expect(note).not_to_contain_text("halted", timeout=TOLD_MS)
    watched.expect_errors("status of 409")


def test_order_that_breaks_a_rule_is_refused_with_the_limit(
    watched: Watched, exchange: Exchange
) -> None:
    symbol = "RULED3"
    rules = {"reference_price": 2000, "tick_size": 5, "lot_size": 100, "price_max": 2500}
    assert exchange.admin().call("PUT", f"/admin/stocks/{symbol}", rules).status == 200
    page = watched.open(f"#/stock/{symbol}")
    watched.sign_in(exchange.register("Ruled"))
    page.fill("#field-document_number", "12345678901")

    def refused(price: str, quantity: str, text: str) -> None:
        page.fill("#field-price", price)
        page.fill("#field-quantity", quantity)
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(page.locator(".notes li").first).to_contain_text(text)

    refused(
        "20.02", "100", "not acceptable. Price: is no multiple of the symbol's tick size (0.05)"
    )
    expect(page.locator("#field-price-fault")).to_contain_text("the symbol's tick size (0.05)")
    refused("20.05", "150", "Quantity: is no multiple of the symbol's lot size (100)")
    refused(
        "25.05", "100", "The symbol has a highest price (25.00) for bids and a lowest price for"
    )
    watched.expect_errors("status of 409", "status of 422")


def test_phase_of_a_symbol_without_orders_is_shown(watched: Watched, exchange: Exchange) -> None:
    symbol = "QUIET3"
    set_rules(exchange, symbol)
    page = watched.open(f"#/stock/{symbol}")
    note = page.locator(".quote .note")
    expect(note).to_contain_text("not traded yet")
    set_phase(exchange, symbol, "closed")
    expect(note).to_contain_text("closed: nothing is traded", timeout=TOLD_MS)
