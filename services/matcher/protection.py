"""Trades that an order may not make within its limit: outside the dynamic band of its symbol, or
with orders of its own broker and document. Pure.
"""

from msgspec import Struct

from schemas.commands import EnterOrder, PlaceOrder
from schemas.units import PRICE_CENTS_MAX, SelfTradePrevention
from services.matcher.book import Book, Order

_MILLION = 1_000_000


class Protection(Struct, frozen=True, gc=False):
    """The band's `lowest` and `highest` price, in cents, and the taker's self-trade prevention.

    `mode` None: it may trade with own orders.
    """

    lowest: int
    highest: int
    mode: SelfTradePrevention | None
    broker_id: str
    document_number: str

    def allows(self, price: int) -> bool:
        """True if the band contains this price."""
        return self.lowest <= price <= self.highest

    def prevents(self, maker: Order) -> bool:
        """True if the taker's mode forbids a trade with this order."""
        if self.mode is None or maker.broker_id != self.broker_id:
            return False
        return maker.document_number == self.document_number


def protection_of(command: PlaceOrder, book: Book, offset: int) -> Protection | None:
    """The protection of an order that takes by the command at `offset`; None: it has none."""
    instrument = book.instrument
    if instrument is None:
        return None
    mode = command.self_trade_prevention if type(command) is EnterOrder else None
    lowest, highest = 0, PRICE_CENTS_MAX
    if instrument.rules.band_ppm is not None:
        reference = instrument.reference_before(offset)
        # Whole cents: a price within the distance is within it rounded down.
        distance = instrument.rules.band_ppm * reference // _MILLION
        lowest, highest = reference - distance, reference + distance
    elif mode is None:
        return None
    return Protection(lowest, highest, mode, command.broker_id, command.document_number)
