"""The public record of the order book: changed price levels, and at intervals a whole book."""

from msgspec import Struct

from schemas.instruments import Phase


class Level(Struct, frozen=True, array_like=True, gc=False):
    """`[price, total_quantity, order_count]`; a total of 0 means that the level is empty."""

    price: int
    total_quantity: int
    order_count: int


class BookUpdate(Struct, frozen=True, omit_defaults=True, gc=False):
    """The levels one command changed, with their new totals; best first when `whole`.

    `sequence` is dense per symbol from 1. `whole`: all levels, which replace the known ones.
    `phase`: the symbol's from this update on; None: as before, in a whole one continuous.
    (`command_offset`, `index`) is the position in the command log of its partition.
    """

    symbol: str
    sequence: int
    time: int
    command_offset: int
    index: int
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    whole: bool = False
    phase: Phase | None = None
