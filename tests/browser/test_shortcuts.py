"""Keyboard shortcuts and the theme: what they do, when they do nothing, and what is remembered."""

from playwright.sync_api import expect

from tests.browser.chromium import Watched

FOCUSED = "document.activeElement.id"


def test_shortcuts_act_outside_of_fields_until_they_are_switched_off(watched: Watched) -> None:
    page = watched.open("#/stock/PETR4")
    page.wait_for_selector("#ladder .near button")
    page.keyboard.press("2")
    expect(page.locator('[data-interval="5m"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(".")
    expect(page.locator("#spoken")).to_contain_text("PETR4, last 37.")
    page.keyboard.press("s")
    assert page.evaluate(FOCUSED) == "field-price"
    expect(page.locator("#field-side-ask")).to_be_checked()
    page.keyboard.press("b")
    expect(page.locator("#field-price")).to_have_value("b")
    expect(page.locator("#field-side-ask")).to_be_checked()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.uncheck("#shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.locator("#field-side-ask")).to_be_checked()
    page.click("#help")
    page.check("#shortcuts")
    page.click("dialog button:text('Close')")
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.locator("h1")).to_have_text("Operations")
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.locator("h1")).to_have_text("Market")
    page.keyboard.press("w")
    page.keyboard.press("/")
    assert page.evaluate(FOCUSED) == "symbol"


def test_chosen_theme_is_kept_by_the_browser(watched: Watched) -> None:
    page = watched.open()
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    button = page.locator("#theme")
    for name in ("light", "dark"):
        button.click()
        expect(button).to_have_attribute("aria-label", f"Theme: {name}")
        expect(root).to_have_attribute("data-theme", name)
    page.reload()
    expect(root).to_have_attribute("data-theme", "dark")
    button.click()
    page.emulate_media(color_scheme="dark")
    expect(button).to_have_attribute("aria-label", "Theme: automatic")
    page.emulate_media(color_scheme="light")
    expect(root).to_have_attribute("data-theme", "light")
