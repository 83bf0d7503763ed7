"""These tests judge images, so they run where those have just been made; else they say so."""

import pytest

from tests.support.servers import VARIABLE, chosen, insisted


@pytest.fixture(autouse=True, scope="session")
def _containers() -> None:
    if not insisted():
        pytest.skip(f"only `make integration-containers` runs these ({VARIABLE}=containers)")
    assert chosen().containers
