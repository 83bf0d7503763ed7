"""The charts under the mouse: what is zoomed to stays in view while trades arrive."""

from playwright.sync_api import Page, expect

from conformance.api import Api
from tests.browser.chromium import Watched

DRAWN = "document.querySelector('.chart canvas').toDataURL()"
# Charts are drawn four times a second at most.
DRAWN_MS = 600


def drag(page: Page, begin: float, end: float) -> None:
    """Select a part of the candles' time, as shares of the width."""
    box = page.locator(".chart .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + begin * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 50, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)


def test_zoomed_candles_stay_as_they_are_while_trades_arrive(watched: Watched, market: Api) -> None:
    symbol = "ZOOMED3"

    def trade(price: int, count: int) -> None:
        for side in ("bid", "ask"):
            market.place(side, symbol, 100, price)
        expect(page.locator(".tape tbody tr")).to_have_count(count)
        page.wait_for_timeout(DRAWN_MS)

    page = watched.open(f"#/stock/{symbol}")
    trade(1000, 1)
    whole = page.evaluate(DRAWN)
    # Before the first trade nothing is drawn but the axes.
    drag(page, 0.2, 0.5)
    page.wait_for_timeout(DRAWN_MS)
    zoomed = page.evaluate(DRAWN)
    assert zoomed != whole
    trade(1010, 2)
    assert page.evaluate(DRAWN) == zoomed
    page.locator(".chart .u-over").dblclick()
    page.mouse.move(0, 0)
    trade(1020, 3)
    assert page.evaluate(DRAWN) != zoomed
