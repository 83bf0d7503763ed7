"""Fixture: an exchange in which every service has its own user on Kafka and PostgreSQL."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.support.exchange import SETTINGS, Exchange, fresh_exchange


@pytest.fixture(scope="package")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Exchange shared by all tests of this folder."""
    # These tests check rights, not latency: a busy machine may take long.
    settings = structs.replace(SETTINGS, access="secured")
    with fresh_exchange(tmp_path_factory.mktemp("secured"), settings) as running:
        yield running
