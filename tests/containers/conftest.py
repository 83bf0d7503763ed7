"""These tests need a Docker engine and the images; without them they are skipped, and say why."""

import pytest

from tests.support.servers import chosen


@pytest.fixture(autouse=True, scope="session")
def _engine() -> None:
    if not chosen().containers:
        pytest.skip(f"{chosen()}; `make integration-containers` insists on containers")
