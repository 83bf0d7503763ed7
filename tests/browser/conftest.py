"""One browser for all tests of the page, and a market that is the same each time."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from conformance.api import Api
from tests.browser.chromium import Watched, running_browser, watched_page
from tests.browser.seeded_market import seed_market
from tests.support.exchange import Exchange


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with running_browser() as running:
        yield running


@pytest.fixture(scope="package")
def market(browser: Browser, exchange: Exchange) -> Api:
    """The client whose orders fill the books. Seeded once; without a browser not at all."""
    api = exchange.broker("Market Maker")
    seed_market(api)
    return api


@pytest.fixture
def watched(browser: Browser, exchange: Exchange, market: Api) -> Iterator[Watched]:
    """A page in a context of its own, checked at the end."""
    with watched_page(browser, exchange.url) as page:
        yield page
