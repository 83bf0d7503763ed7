"""Skips the tests of images unless `make integration-containers` has just built the images."""

import pytest

from tests.support.servers import VARIABLE, chosen, insisted


@pytest.fixture(autouse=True, scope="session")
def _containers() -> None:
    if not insisted():
        pytest.skip(f"only `make integration-containers` runs these ({VARIABLE}=containers)")
    assert chosen().containers
