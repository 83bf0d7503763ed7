"""Bodies and answers of the calls that set a symbol's instrument and its phase.

Prices are integer cents, quantities shares.
"""

from typing import Literal

from msgspec import Struct, structs

from schemas.executions import InstrumentSet
from schemas.instruments import (
    BandAction,
    BandPpm,
    InstrumentRules,
    LotSize,
    Phase,
    TickSize,
    ValueCents,
)
from schemas.units import PriceCents, Quantity


class InstrumentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /admin/stocks/{symbol}`: the whole instrument; absent fields have their defaults.

    `reference_price` is needed for a symbol without an instrument; without one the present price
    stays. Prices must be multiples of `tick_size`, quantities of `lot_size`. `quantity_max` and
    `value_max` bound one order. Bids above `price_max` and asks below `price_min` are refused.
    `band_ppm`, the dynamic band: no trade is farther from the reference price before its command,
    in millionths of it. An order that would trade beyond is closed (`band_action` cancel).
    """

    reference_price: PriceCents | None = None
    tick_size: TickSize = 1
    lot_size: LotSize = 1
    quantity_max: Quantity | None = None
    value_max: ValueCents | None = None
    price_min: PriceCents | None = None
    price_max: PriceCents | None = None
    band_ppm: BandPpm | None = None
    band_action: BandAction = "cancel"

    def rules(self) -> InstrumentRules:
        """The rules, without the price."""
        fields = structs.asdict(self)
        del fields["reference_price"]
        return InstrumentRules(**fields)


class InstrumentResource(Struct, frozen=True):
    """A symbol's instrument. `reference_price`: of the last trade, or as set since then."""

    reference_price: int
    tick_size: int
    lot_size: int
    quantity_max: int | None
    value_max: int | None
    price_min: int | None
    price_max: int | None
    band_ppm: int | None
    band_action: BandAction

    @classmethod
    def of(cls, rules: InstrumentRules, reference_price: int) -> "InstrumentResource":
        """The rules with their present price."""
        return cls(reference_price=reference_price, **structs.asdict(rules))


class MarketResource(Struct, frozen=True):
    """The present state of a symbol's market."""

    symbol: str
    phase: Phase
    instrument: InstrumentResource

    @classmethod
    def of(cls, event: InstrumentSet) -> "MarketResource":
        """The state after the event."""
        instrument = InstrumentResource.of(event.rules, event.reference_price)
        return cls(symbol=event.symbol, phase=event.phase, instrument=instrument)


class PhaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /admin/stocks/{symbol}/phase`. With `expected` the phase changes only from that one."""

    phase: Phase
    expected: Phase | None = None


class PhaseResource(Struct, frozen=True):
    """The phase of a symbol and the one before it; equal: the call changed nothing."""

    symbol: str
    phase: Phase
    previous: Phase


class MarketState(Struct, frozen=True):
    """A symbol's market as of the last outcome that a gateway has read. `rules` None: it has no
    instrument, and no reference price."""

    phase: Phase
    rules: InstrumentRules | None = None
    reference_price: int = 0


class PendingChange(Struct, frozen=True):
    """A change that is stored but has no outcome yet; repeating the call does no harm."""

    symbol: str
    status: Literal["pending"] = "pending"
