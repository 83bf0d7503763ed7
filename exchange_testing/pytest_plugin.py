"""A fixture for other projects: `pytest_plugins = ["exchange_testing.pytest_plugin"]`."""

from collections.abc import Iterator

import pytest

from exchange_testing.exchange import ExchangeContainer


@pytest.fixture(scope="session")
def exchange() -> Iterator[ExchangeContainer]:
    """One exchange for the whole run: use symbols and brokers of your own in every test."""
    with ExchangeContainer() as running:
        yield running
