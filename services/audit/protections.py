"""Forbidden trades: with own orders, and outside the symbol's dynamic band.

Pure, and independent of the engine. Decides by the state before the outcome, which the other checks
keep, and by the order that the command places.
"""

from collections.abc import Mapping

from msgspec import Struct

from schemas.commands import PlaceOrder
from schemas.executions import OrderAccepted, OrderEntered, Outcome, Prevented
from schemas.outcome_steps import Taking
from schemas.units import ClosedReason, SelfTradePrevention, Side
from services.audit.conditions import crosses
from services.audit.instruments import InstrumentAudit
from services.audit.ledger import OrderState
from services.audit.resting import Resting, RestingBook


class _Owner(Struct, frozen=True):
    """`document` None: the order rested before its symbol had an instrument."""

    broker_id: str
    document: str | None
    mode: SelfTradePrevention | None


class Protections:
    """Those of one partition."""

    def __init__(self, open_orders: Mapping[str, OrderState], instruments: InstrumentAudit) -> None:
        self._open = open_orders
        self._instruments = instruments
        self._placed: OrderAccepted | None = None
        self._clock = 0

    def begin(self, outcome: Outcome) -> None:
        """Begin with the next outcome."""
        self._clock = outcome.time
        self._placed = outcome.event if isinstance(outcome.event, OrderAccepted) else None

    def passes_over(self, taker_id: str) -> bool:
        """True if an order continues behind own orders in its way, which are closed."""
        owner = self._owner(taker_id)
        return owner is not None and owner.mode == "cancel_maker"

    def obstacle(self, taker: Taking, maker_id: str, price: int) -> ClosedReason | None:
        """Reason against a trade with this order at this price; None: there is none."""
        if not self._instruments.is_in_band(taker.symbol, price):
            return "price_band"
        own = self._owner(taker.order_id)
        if own is None or own.mode is None:
            return None
        other = self._owner(maker_id)
        if other is None or other.document is None:
            return None
        is_own = (own.broker_id, own.document) == (other.broker_id, other.document)
        return "self_trade" if is_own else None

    def at_once(
        self, book: RestingBook, order: PlaceOrder | OrderAccepted, wanted: int, steps_max: int
    ) -> int:
        """The shares that an order would trade at once, at most `wanted`.

        One that did not enter the book is a refused post-only order: it may not cross, whatever
        would become of it then.
        """
        found = 0
        own: set[str] = set()
        side: Side = "ask" if order.side == "bid" else "bid"
        for name, price, quantity in book.steps(side, self._clock):
            if found >= wanted or not steps_max or not crosses(order, price):
                break
            if name in own:
                continue
            steps_max -= 1
            taker = order if quantity and isinstance(order, OrderAccepted) else None
            obstacle = taker and self.obstacle(taker, name, price)
            if obstacle is None:
                found += quantity
            elif obstacle == "price_band" or not self.passes_over(order.order_id):
                break
            else:
                own.add(name)
        return min(found, wanted)

    def broken_prevention(
        self, taker: Taking, one: Prevented, first: tuple[str, Resting] | None
    ) -> str | None:
        """The fault of an own order that a taker is said to have come to; None: it has none.

        `first`: the order of the book that it came to.
        """
        if first is None or first[0] != one.maker_order_id or not crosses(taker, first[1].price):
            return f"closes {one.maker_order_id}, first was {first[0] if first else None}"
        name, order = first
        if self.obstacle(taker, name, order.price) != "self_trade":
            return f"closes {name}, which is not its own"
        owner = self._owner(taker.order_id)
        stays = owner is not None and owner.mode == "cancel_taker"
        if one.quantity != (0 if stays else order.remaining):
            return f"closes {one.quantity} of {name}, of which {order.remaining} were left"
        return None

    def _owner(self, order_id: str) -> _Owner | None:
        state, placed = self._open.get(order_id), self._placed
        if placed is not None and placed.order_id == order_id:
            has_document = self._instruments.since(placed.symbol) is not None
            return _owner(placed, has_document=has_document)
        if state is None:
            return None
        if state.carried:
            return _owner(state.accepted, has_document=bool(state.accepted.document_number))
        since = self._instruments.since(state.accepted.symbol)
        return _owner(state.accepted, has_document=since is not None and state.offset > since)


def _owner(event: OrderAccepted, *, has_document: bool) -> _Owner:
    mode = event.self_trade_prevention if isinstance(event, OrderEntered) else None
    return _Owner(event.broker_id, event.document_number if has_document else None, mode)
