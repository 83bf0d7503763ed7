"""The limit of open files is raised as far as the system allows, and never lowered."""

import resource
from collections.abc import Iterator

import pytest

from services.runtime.open_files import raise_file_limit

LOW = 300


@pytest.fixture
def hard() -> Iterator[int]:
    """The system's limit, with the process's own one lowered to LOW."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW, before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("hard")
def test_limit_is_raised_to_what_is_wanted() -> None:
    assert raise_file_limit(LOW + 20) == LOW + 20
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == LOW + 20


def test_limit_is_raised_at_most_to_that_of_the_system(hard: int) -> None:
    if hard == resource.RLIM_INFINITY:
        pytest.skip("the system has no limit")
    assert raise_file_limit(hard + 1) == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard


@pytest.mark.usefixtures("hard")
def test_limit_is_never_lowered() -> None:
    assert raise_file_limit(LOW - 20) == LOW
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == LOW
