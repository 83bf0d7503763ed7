"""Orders of the naive model that take: by their own command, or as elected stops.

It imports nothing from the services, so that they share no mistake.
"""

from copy import copy

from msgspec import structs

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import Expired, Fill, OrderAccepted, Prevented, StopElected
from schemas.ids import trade_id
from schemas.units import ClosedReason
from tests.support.naive_instrument import in_band
from tests.support.naive_orders import Resting, Took, accepted, mode_of, never_rests, slice_of, take
from tests.support.naive_state import NaiveState
from tests.support.naive_stops import NaiveStop, NaiveStops, elected


class NaiveTaking(NaiveState):
    """Base of the model: orders trade with those that rest."""

    def _run_stops(
        self, symbols: list[str], offset: int, expired: list[Expired]
    ) -> list[StopElected]:
        found = []
        for symbol in symbols:
            while self.steps > 0 and self.elections > 0:
                stop = self.stops.next_of(symbol)
                if stop is None:
                    break
                self.elections -= 1
                found.append(self._take(stop, offset, expired))
        for symbol in symbols:
            self.stops.elect(symbol)
        return found

    def _take(self, stop: NaiveStop, offset: int, expired: list[Expired]) -> StopElected:
        order = stop.order
        self.stops.remove(stop)
        if self._is_due(order):
            event = accepted(order, order.quantity, "expired")
        else:
            event = self._match(order, offset, expired)
            for one in self.open:
                if one.order is order:
                    # It is an ordinary order from now on.
                    one.order, one.offset = structs.replace(order, stop_price=None), stop.offset
                    one.amended = stop.amended
        return elected(stop, event, self._sequence(order.symbol))

    def _match(self, order: PlaceOrder, offset: int, expired: list[Expired]) -> OrderAccepted:
        took = Took()
        remaining = order.quantity
        reason: ClosedReason | None = None
        while remaining > 0 and self.steps > 0 and reason is None:
            maker = self._counterparty(order)
            if maker is None:
                break
            if not self._is_due(maker.order) and self._is_beyond_band(maker):
                reason = "price_band"
                break
            self.steps -= 1
            if self._is_due(maker.order):
                expired.append(self._expire(maker))
            elif self._is_own(order, maker):
                reason = self._prevent(order, maker, took)
            else:
                took.fills.append(self._fill(maker, remaining, offset))
                remaining -= took.fills[-1].quantity
        if remaining == 0:
            reason = "filled"
        elif reason is None:
            reason = self._rest_or_close(order, remaining, offset)
        return accepted(order, remaining, reason, took)

    def _rest_or_close(self, order: PlaceOrder, remaining: int, offset: int) -> ClosedReason | None:
        if self._counterparty(order) is not None:
            return "cancelled"
        if never_rests(order):
            return "no_liquidity"
        shown, place = slice_of(order, remaining), self._next_place()
        document = order.document_number if order.symbol in self.instruments else None
        self.open.append(Resting(order, offset, remaining, shown, place, document=document))
        self.touched.add(order.symbol)
        opener = None if self.quotas is None else order.broker_id
        self.opened_by.setdefault(order.symbol, opener)
        return None

    def _is_beyond_band(self, maker: Resting) -> bool:
        symbol, price = maker.order.symbol, maker.order.price or 0
        held = self.instruments.get(symbol)
        return held is not None and not in_band(price, held, self.references[symbol])

    def _is_own(self, order: PlaceOrder, maker: Resting) -> bool:
        if mode_of(order) is None or maker.order.broker_id != order.broker_id:
            return False
        return maker.document == order.document_number

    def _prevent(self, order: PlaceOrder, maker: Resting, took: Took) -> ClosedReason | None:
        mode, closed = mode_of(order), 0
        if mode != "cancel_taker":
            closed = self._leave(maker)
        took.prevented.append(Prevented(maker.order.order_id, closed, len(took.fills)))
        return None if mode == "cancel_maker" else "self_trade"

    def _fill(self, maker: Resting, wanted: int, offset: int) -> Fill:
        quantity = min(wanted, maker.shown)
        displayed = take(maker, quantity, self._next_place())
        if maker.remaining == 0:
            self.open.remove(maker)
        symbol = maker.order.symbol
        self.trade_sequence[symbol] = self.trade_sequence.get(symbol, 0) + 1
        self.touched.add(symbol)
        self.trades += 1
        price = maker.order.price or 0
        self.stops.prices.setdefault(symbol, []).append(price)
        if symbol in self.instruments:
            self.instruments[symbol].reference = price
        return Fill(
            trade_id=trade_id(self.clock, self.partition, offset, self.trades - 1),
            sequence=self.trade_sequence[symbol],
            price=price,
            quantity=quantity,
            maker_order_id=maker.order.order_id,
            maker_broker_id=maker.order.broker_id,
            maker_remaining_quantity=maker.remaining,
            maker_displayed_quantity=displayed,
        )

    def _counterparty(self, order: PlaceOrder) -> Resting | None:
        """Next maker for `order`: best price, then oldest; None if none crosses."""
        queue = self._queue(order.symbol, "ask" if order.side == "bid" else "bid")
        if not queue:
            return None
        price = queue[0].order.price or 0
        if order.price is None:
            return queue[0]
        crosses = price <= order.price if order.side == "bid" else price >= order.price
        return queue[0] if crosses else None

    def _at_once(self, order: PlaceOrder, offset: int) -> int:
        """The shares that the order trades at once, by matching it on a copy of the market."""
        if not isinstance(order, EnterOrder):
            return 0
        trial = copy(self)
        trial.open = [structs.replace(resting) for resting in self.open]
        trial.trade_sequence, trial.opened_by = {}, {}
        trial.instruments = {name: copy(held) for name, held in self.instruments.items()}
        trial.touched, trial.stops = set(), NaiveStops()
        if order.post_only:
            # It may not cross, whatever would become of it then.
            order, trial.instruments = structs.replace(order, self_trade_prevention=None), {}
        return sum(fill.quantity for fill in trial._match(order, offset, []).fills)
