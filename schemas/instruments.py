"""Rules of one symbol's market, as an operator sets them: increments, bounds of an order. Pure.

A symbol has an instrument from its first `SetInstrument` on; without one it has none of this.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from schemas.units import PRICE_CENTS_MAX, QUANTITY_MAX, PriceCents, Quantity, Side

# Orders enter, change and trade only while it is continuous; they may be cancelled in every phase.
# closed: the day orders are gone as well.
Phase = Literal["continuous", "halted", "closed"]
# What happens to an order that would trade outside the dynamic band: its rest is closed.
BandAction = Literal["cancel"]
# Parts per million of the reference price.
BAND_PPM_MAX: Final = 1_000_000
# Fits into a column of 64 bits.
VALUE_CENTS_MAX: Final = PRICE_CENTS_MAX * QUANTITY_MAX

TickSize = Annotated[
    int, Meta(ge=1, le=PRICE_CENTS_MAX, description="Prices are multiples of it, in cents.")
]
LotSize = Annotated[
    int, Meta(ge=1, le=QUANTITY_MAX, description="Quantities are multiples of it, in shares.")
]
ValueCents = Annotated[
    int, Meta(ge=1, le=VALUE_CENTS_MAX, description="Price times quantity, in cents.")
]
BandPpm = Annotated[
    int,
    Meta(
        ge=1,
        le=BAND_PPM_MAX,
        description="Farthest trade from the last one, in millionths of its price.",
    ),
]


class InstrumentRules(Struct, frozen=True, omit_defaults=True, gc=False):
    """`quantity_max` and `value_max` bound one order, a market order's value by the reference
    price. Bids above `price_max` and asks below `price_min` are refused; prices beyond on the
    passive side are not. `band_ppm`: how far from the reference price before a command its trades
    may be. None: no bound.
    """

    tick_size: TickSize = 1
    lot_size: LotSize = 1
    quantity_max: Quantity | None = None
    value_max: ValueCents | None = None
    price_min: PriceCents | None = None
    price_max: PriceCents | None = None
    band_ppm: BandPpm | None = None
    band_action: BandAction = "cancel"

    def is_outside(self, side: Side, price: int) -> bool:
        """True if an order of this side may not have this price."""
        if side == "bid":
            return self.price_max is not None and price > self.price_max
        return self.price_min is not None and price < self.price_min


def instrument_faults(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of an instrument that contradict others, each with the reason.

    `fields`: those of `InstrumentRules` and `reference_price`, each valid by itself. One that is
    absent contradicts nothing.
    """
    low, high = fields.get("price_min"), fields.get("price_max")
    if low is not None and high is not None and low > high:
        yield "price_min", "is more than price_max"
        return
    reference = fields.get("reference_price")
    if reference is None:
        return
    if reference % fields.get("tick_size", 1):
        yield "reference_price", "is no multiple of tick_size"
    if (low is not None and reference < low) or (high is not None and reference > high):
        yield "reference_price", "is not between price_min and price_max"
