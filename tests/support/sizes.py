"""Sizes of the tests whose number of cases is a choice: `TEST_SIZE=small` or `full` (default)."""

import os

import pytest

VARIABLE = "TEST_SIZE"
SIZES = ("small", "full")


def is_small() -> bool:
    """Return whether this run has the small sizes. Raises UsageError for an unknown size."""
    size = os.environ.get(VARIABLE) or "full"
    if size not in SIZES:
        raise pytest.UsageError(f"{VARIABLE}={size}: write {' or '.join(SIZES)}")
    return size == "small"


def sized(small: int, full: int) -> int:
    """The number for this run's size."""
    return small if is_small() else full
