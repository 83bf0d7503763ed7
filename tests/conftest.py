"""Fixtures that every kind of test may use."""

from collections.abc import Iterator

import pytest

from tests.support.exchange import Exchange, an_exchange


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the whole run. A test that stops a part of it starts it again."""
    with an_exchange(tmp_path_factory.mktemp("exchange")) as running:
        yield running
