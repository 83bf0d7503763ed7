"""The charts: candles equal REST's, a part is chosen and moved, and stays while trades arrive."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Locator, Page, Route, WebSocket, expect

from conformance.api import Api, eventually
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


# No market of a test is older than minutes, so answers with many candles are made up.
MADE_UP = 340
READ = 240
NEWEST = datetime.now(UTC).replace(second=0, microsecond=0)


def made_up(number: int) -> dict[str, Any]:
    """One of MADE_UP candles, each a minute after the one before. `open` has the number."""
    start = NEWEST - timedelta(minutes=MADE_UP - 1 - number)
    prices = {"open": 1000 + number, "high": 1500, "low": 900, "close": 1100}
    sequences = {"first_sequence": 10_000 * number, "last_sequence": 10_000 * number + 9_999}
    return {"start": start.isoformat(), "volume": 100, **prices, **sequences}


class MadeUpCandles:
    """A stock view with made up candles. `asked`: the requests for them."""

    def __init__(self, watched: Watched) -> None:
        self.asked: list[str] = []
        watched.page.route("**/candles?*", self._answer)
        self.page = watched.open("#/stock/PETR4")
        self.chart = self.page.get_by_role("group", name="Candles of PETR4.")

    def _answer(self, route: Route) -> None:
        self.asked.append(route.request.url)
        is_older = "&to=" in route.request.url
        numbers = range(MADE_UP - READ) if is_older else range(MADE_UP - READ, MADE_UP)
        body = {"candles": [made_up(number) for number in numbers]}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    def see(self, candles: int, first: int, within: int = 0) -> None:
        """Wait until so many candles from this one on are seen. `within`: so many more or less."""

        counts = range(candles - within, candles + within + 1)
        opens = range(1000 + first - within, 1000 + first + within + 1)
        count, begin = "|".join(map(str, counts)), "|".join(f"{each / 100:.2f}" for each in opens)
        text = f"^({count}) . 1m since .+: ({begin}) to "
        expect(self.page.locator(".chart .summary")).to_have_text(re.compile(text))

    def button(self, name: str) -> Locator:
        """A button beside the chart."""
        return self.page.get_by_role("button", name=name, exact=True)


def test_part_of_the_candles_is_chosen_and_moved_by_keys_and_buttons(
    watched: Watched, market: Api
) -> None:
    made = MadeUpCandles(watched)
    made.see(READ, first=100)
    made.chart.focus()
    made.page.keyboard.press("+")
    made.see(120, first=220)
    expect(made.button("Back to now")).not_to_have_class("away")
    made.page.keyboard.press("ArrowLeft")
    made.see(121, first=208)
    made.button("Earlier").click()
    made.see(121, first=196)
    expect(made.button("Back to now")).to_have_class("away")
    made.page.locator("#theme").click()
    made.see(121, first=196)
    made.button("Later").click()
    made.see(121, first=208)
    made.button("Zoom in").click()
    made.see(61, first=238)
    made.button("Zoom out").click()
    made.see(121, first=208)
    made.button("Back to now").click()
    made.see(120, first=220)
    made.chart.focus()
    made.page.keyboard.press("0")
    made.see(READ, first=100)
    assert len(made.asked) == 1


def test_part_of_the_candles_is_moved_by_wheel_and_drag(watched: Watched, market: Api) -> None:
    made = MadeUpCandles(watched)
    made.chart.press("+")
    made.see(120, first=220)
    box = made.page.locator(".chart .u-over").bounding_box()
    assert box is not None
    made.page.mouse.move(box["x"] + 100, box["y"] + 50)
    made.page.mouse.wheel(-box["width"] / 2, 0)
    made.see(120, first=160, within=1)
    made.page.keyboard.down("Shift")
    made.page.mouse.wheel(0, box["width"] / 4)
    made.see(120, first=190, within=1)
    drag(made.page, 0.25, 0.5)
    made.see(120, first=160, within=1)
    made.page.keyboard.up("Shift")
    drag(made.page, 0.25, 0.5)
    made.see(30, first=190, within=1)


def test_older_candles_are_read_where_the_first_one_is_seen(watched: Watched, market: Api) -> None:
    made = MadeUpCandles(watched)
    made.see(READ, first=100)
    made.chart.press("Home")

    def sees_all() -> bool:
        made.chart.press("-")
        return made.page.locator(".chart .summary").inner_text().startswith(f"{MADE_UP} ")

    eventually("all candles are seen", sees_all)
    made.see(MADE_UP, first=0)
    made.chart.press("0")
    made.see(READ, first=100)
    made.chart.press("Home")
    made.see(READ, first=0, within=1)
    assert len(made.asked) == 2


def test_running_candle_equals_rest_in_each_interval(watched: Watched, market: Api) -> None:
    symbol = "CANDLE3"
    sent: list[dict[str, Any]] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(json.loads(frame)))

    watched.page.on("websocket", watch)
    page = watched.open(f"#/stock/{symbol}")
    page.locator(".chart details summary").click()
    row = page.locator(".chart details tbody tr").first

    def equals_rest(interval: str, price: int) -> None:
        for side in ("bid", "ask"):
            market.place(side, symbol, 100, price)
        path = f"/stocks/{symbol}/candles?interval={interval}"
        candle = market.get(path).body["candles"][-1]
        assert candle["close"] == price
        figures = [candle[name] / 100 for name in ("open", "high", "low", "close")]
        texts = [*(f"{figure:.2f}" for figure in figures), str(candle["volume"])]
        for column, text in enumerate(texts, 1):
            expect(row.locator("td").nth(column)).to_have_text(text)

    equals_rest("1m", 1000)
    equals_rest("1m", 990)
    page.locator('[data-interval="1h"]').click()
    equals_rest("1h", 1020)
    equals_rest("1h", 1010)
    ended = [each for each in sent if each["op"] == "unsubscribe" and each["channel"] == "candles"]
    assert [each["interval"] for each in ended] == ["1m"]
