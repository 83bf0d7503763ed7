"""Functions of the product replaced by wrong ones for a while: what a checker has to find."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

# What is replaced: owner, name of the attribute, and what stands there instead.
Replacement = tuple[object, str, Any]


@contextmanager
def replaced(replacements: Iterable[Replacement]) -> Iterator[None]:
    """The wrong ones are there, and gone afterwards."""
    wanted = list(replacements)
    former = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    for owner, name, wrong in wanted:
        setattr(owner, name, wrong)
    try:
        yield
    finally:
        for owner, name, right in former:
            setattr(owner, name, right)
