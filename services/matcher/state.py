"""The engine's state as an immutable value, for snapshots and comparison. Pure."""

import hashlib

from msgspec import Struct
from msgspec.json import encode

from schemas.quotas import Quotas
from schemas.snapshots import BookRow, ClientIdBlock, OpenerRow, OrderIdBlock, OrderRow


class EngineState(Struct, frozen=True):
    """The engine's whole state. Orders in priority order of their book, client ids oldest first."""

    partition: int
    clock: int
    books: tuple[BookRow, ...]
    orders: tuple[OrderRow, ...]
    client_ids: tuple[ClientIdBlock, ...]
    quotas: Quotas | None = None
    openers: tuple[OpenerRow, ...] = ()
    order_ids: tuple[OrderIdBlock, ...] = ()

    def digest(self) -> bytes:
        """SHA-256 of the state, equal in every process that applied the same commands."""
        added = () if self.quotas is None else (self.quotas, self.openers, *self.order_ids)
        return digest_of(
            (self.partition, self.clock), self.books, self.orders, *self.client_ids, *added
        )


def digest_of(*parts: object) -> bytes:
    """SHA-256 of the parts as JSON."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(encode(part))
    return digest.digest()
