"""Skips the tests of images unless `make integration-containers` has just built the images."""

import pytest

from tests.support.servers import VARIABLE, containers_required, server_choice


@pytest.fixture(autouse=True, scope="session")
def _containers() -> None:
    if not containers_required():
        pytest.skip(f"only `make integration-containers` runs these ({VARIABLE}=containers)")
    assert server_choice().containers
