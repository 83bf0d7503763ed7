"""Ids of new orders: one kind for orders that stay in the market, one for orders that end with a
session."""

import itertools
from collections.abc import Callable
from typing import Final, Protocol

from schemas import ids
from schemas.executions import ORIGINS_LEVEL

_RANDOM_BYTES: Final = 8


class OrderIds(Protocol):
    """Source of order ids. `level`: that of the rules without which no matcher gets one; 0: any."""

    level: int

    def new(self, time_ms: int, partition: int) -> str:
        """An id that no other order has."""


class RandomIds:
    """Ids of orders that stay in the market. `randomness` returns random bytes."""

    level = 0

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        self._randomness = randomness

    def new(self, time_ms: int, partition: int) -> str:
        """An id of this time and partition."""
        random_bits = int.from_bytes(self._randomness(_RANDOM_BYTES), "big")
        return ids.order_id(time_ms, partition, random_bits)


class SessionIds:
    """Ids of orders that end with their session, all of this origin (`schemas.ids`)."""

    level = ORIGINS_LEVEL

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._numbers = itertools.count()

    def new(self, time_ms: int, partition: int) -> str:
        """An id of this time and partition."""
        return ids.session_order_id(time_ms, partition, next(self._numbers), self.origin)
