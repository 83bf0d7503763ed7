"""The partition of a listed symbol. The compacted topic keeps the last record of each."""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.ids import PARTITION_MAX
from schemas.units import Symbol


class Listing(Struct, frozen=True, gc=False):
    """`share_ppm` is the expected share of all volume, in parts per million."""

    symbol: Symbol
    partition: Annotated[int, Meta(ge=0, le=PARTITION_MAX)]
    share_ppm: Annotated[int, Meta(ge=0, le=1_000_000)]
