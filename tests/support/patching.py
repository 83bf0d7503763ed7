"""Temporary replacement of functions of the product, to prove that a check finds a defect."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

# Owner, name of its attribute, and the replacing value.
Replacement = tuple[object, str, Any]


@contextmanager
def patched(replacements: Iterable[Replacement]) -> Iterator[None]:
    """Replace the attributes during the context, and restore them at its end."""
    wanted = list(replacements)
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    for owner, name, value in wanted:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
