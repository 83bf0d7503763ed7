"""The engine's state as an immutable value, for snapshots and comparison. Pure."""

import hashlib
from collections.abc import Sequence

from msgspec import Struct
from msgspec.json import encode

from schemas.executions import CONTROLS_LEVEL
from schemas.levels import level_of
from schemas.quotas import Quotas
from schemas.snapshots import (
    AmendedRow,
    BookRow,
    ClientIdBlock,
    IcebergRow,
    InstrumentRow,
    OpenerRow,
    OrderIdBlock,
    OrderRow,
    OrderTermsRow,
    PreventionRow,
    StopRow,
)


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
    instruments: tuple[InstrumentRow, ...] = ()
    terms: tuple[OrderTermsRow, ...] = ()
    amended: tuple[AmendedRow, ...] = ()
    stops: tuple[StopRow, ...] = ()
    icebergs: tuple[IcebergRow, ...] = ()
    preventions: tuple[PreventionRow, ...] = ()
    day_orders: tuple[str, ...] = ()

    @property
    def has_changes(self) -> bool:
        """True if it has state that only rules of the fourth level make."""
        return bool(self.instruments or self.amended)

    @property
    def has_controls(self) -> bool:
        """True if it has state that only rules of the fifth level make."""
        # One condition for each kind of such state.
        return (
            bool(self.icebergs or self.preventions or self.day_orders)
            or any(row.phase != "continuous" for row in self.instruments)
            or any(row.rules.band_ppm is not None for row in self.instruments)
            or any(level_of(row.order) >= CONTROLS_LEVEL for row in self.stops)
        )

    def digest(self) -> bytes:
        """SHA-256 of the state, equal in every process that applied the same commands."""
        added = () if self.quotas is None else (self.quotas, self.openers, *self.order_ids)
        return digest_of(
            (self.partition, self.clock),
            self.books,
            self.orders,
            *self.client_ids,
            *added,
            *named_part("instruments", self.instruments),
            *named_part("terms", self.terms),
            *named_part("amended", self.amended),
            *named_part("stops", self.stops),
            *named_part("icebergs", self.icebergs),
            *named_part("preventions", self.preventions),
            *named_part("day_orders", self.day_orders),
        )


def named_part(name: str, rows: Sequence[object]) -> tuple[object, ...]:
    """A part of the digest that is left out while it is empty, so that its name identifies it."""
    return ((name, rows),) if rows else ()


def digest_of(*parts: object) -> bytes:
    """SHA-256 of the parts as JSON."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(encode(part))
    return digest.digest()
