"""An exchange whose services are users of their own on Kafka and PostgreSQL."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.support.exchange import SETTINGS, Exchange, an_exchange


@pytest.fixture(scope="package")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One for all of these tests, and ended after them."""
    # What is tested here is who may do it, not how soon.
    settings = structs.replace(SETTINGS, access="secured", outcome_wait_ms=10_000)
    with an_exchange(tmp_path_factory.mktemp("secured"), settings) as running:
        yield running
