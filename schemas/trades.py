"""The public record of trades: no broker, no order id, no customer document."""

from msgspec import Struct

from schemas.units import Side


class Trade(Struct, frozen=True, gc=False):
    """One trade. `sequence` counts from 1 per symbol: a gap means a loss, a repeat a duplicate.

    `time` is the partition's clock in milliseconds, `price` in cents. (`command_offset`, `index`)
    is the position in the command log of its partition.
    """

    symbol: str
    sequence: int
    trade_id: str
    time: int
    price: int
    quantity: int
    aggressor_side: Side
    command_offset: int
    index: int
