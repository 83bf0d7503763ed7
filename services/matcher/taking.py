"""Orders that take from the books: by their own command, or as elected stops. Pure.

All orders that take in one command share its bounds, and their trades are numbered together.
"""

from collections.abc import Sequence
from itertools import islice

from msgspec import Struct

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import Expired, Fill, Prevented, StopElected
from schemas.ids import TRADE_INDEX_DIGITS, trade_id
from schemas.units import ClosedReason
from services.matcher.book import Book, IcebergOrder, Order, PriceLevel
from services.matcher.incoming import (
    closed_reason,
    crosses,
    needed_at_once,
    steps_of,
    trades_enough,
)
from services.matcher.open_orders import OpenOrders
from services.matcher.protection import Protection, protection_of
from services.matcher.rules import Rules
from services.matcher.stops import StopOrder, Stops


class Taken(Struct, frozen=True, gc=False):
    """The result of an order that took: its remaining quantity, the reason of its close (None: it
    rests), its fills, and own orders with which it did not trade."""

    remaining: int
    closed_reason: ClosedReason | None
    fills: tuple[Fill, ...] = ()
    prevented: tuple[Prevented, ...] = ()


class TakingOrders(OpenOrders):
    """Base of the engine: orders trade with those that rest."""

    def __init__(self, partition: int, rules: Rules) -> None:
        super().__init__(partition, rules)
        # Remaining bounds of the present command, and its number of trades. They change only while
        # there are stops: no other command has more than one order that takes.
        self._steps_left = rules.fills_max
        self._elections_left = rules.elections_max
        self._trades = 0

    def _match(self, command: PlaceOrder, offset: int, book: Book, expired: list[Expired]) -> Taken:
        """Trade with the best opposite orders, oldest first; those that are due expire instead."""
        remaining, trades, gone = command.quantity, self._trades, len(expired)
        fills: list[Fill] = []
        prevented: list[Prevented] = []
        reason: ClosedReason | None = None
        protection = protection_of(command, book, offset)
        opposite = book.asks if command.side == "bid" else book.bids
        touched: PriceLevel | None = None
        # All but the index of the trade, which is the last part of its id.
        id_start = trade_id(self.clock, self.partition, offset, 0)[:-TRADE_INDEX_DIGITS]
        for _ in range(self._steps_left):
            level = opposite.best
            if reason or not remaining or level is None or not crosses(command, level.price):
                break
            maker = level.oldest()
            if maker.valid_until is not None and maker.valid_until <= self.clock:
                # Left over from a backlog of expiries.
                expired.append(self._expire(maker))
                continue
            if protection is not None:
                reason = self._protect(protection, book, maker, len(fills), prevented)
                if reason is not None or not maker.remaining:
                    continue
            # A call of `min` costs more than the rest of this line.
            quantity = remaining if remaining < maker.remaining else maker.remaining
            remaining -= quantity
            if level is not touched:
                self._touch(book, level.key)
                touched = level
            opposite.take(level, maker, quantity)
            left, displayed = maker.remaining, None
            if left == 0:
                self._forget(maker)
            elif type(maker) is IcebergOrder:
                left, displayed = maker.unfilled, left
            book.trade_sequence = sequence = book.trade_sequence + 1
            name = f"{id_start}{trades + len(fills):04x}"
            order_id, broker_id = maker.order_id, maker.broker_id
            fills.append(
                Fill(name, sequence, level.price, quantity, order_id, broker_id, left, displayed)
            )
        if book.instrument is not None or self._stops is not None:
            self._note(book, fills, offset, len(expired) - gone + len(prevented))
        reason = reason or closed_reason(command, remaining, opposite.best)
        return Taken(remaining, reason, tuple(fills), tuple(prevented))

    def _takes_enough(self, command: EnterOrder, book: Book, offset: int) -> bool:
        """True if the order would trade at once at least the quantity that it needs."""
        needed = needed_at_once(command)
        if needed is None:
            return True
        opposite = book.asks if command.side == "bid" else book.bids
        protection = protection_of(command, book, offset)
        steps = steps_of(opposite.levels_within(command.price), self.clock, protection)
        return trades_enough(islice(steps, self._steps_left), needed)

    def _protect(
        self,
        protection: Protection,
        book: Book,
        maker: Order,
        after_fills: int,
        prevented: list[Prevented],
    ) -> ClosedReason | None:
        """Apply a taker's protection to a maker, which it may close. Returns the reason for which
        the taker closes; None: it trades with the maker, if that is still open, or goes on."""
        if not protection.allows(maker.price):
            return "price_band"
        if not protection.prevents(maker):
            return None
        quantity = 0 if protection.mode == "cancel_taker" else self._withdraw(book, maker)
        prevented.append(Prevented(maker.order_id, quantity, after_fills))
        return None if protection.mode == "cancel_maker" else "self_trade"

    def _note(self, book: Book, fills: list[Fill], offset: int, other_steps: int) -> None:
        """Note the trades of an order, and the steps that they and its other makers took."""
        trades, stops = len(fills), self._stops
        if trades:
            last = fills[-1].price
            if book.instrument is not None:
                book.instrument.traded(last, offset)
            if stops is not None and book.symbol in stops.symbols:
                stops.compare(book.symbol, fills[0].price, last)
        if stops is not None:
            self._trades += trades
            self._steps_left -= trades + other_steps

    def _run_stops(
        self, stops: Stops, symbols: Sequence[str], offset: int, expired: list[Expired]
    ) -> tuple[StopElected, ...]:
        """Let elected stops of these symbols take, and the stops that their trades elect, within
        the bounds."""
        found: list[StopElected] = []
        # A copy, because orders that take change the lists of `stops`.
        for symbol in tuple(symbols):
            while self._elections_left and self._steps_left:
                order = stops.next_elected(symbol)
                if order is None:
                    break
                self._elections_left -= 1
                found.append(self._take_as_elected(order, offset, expired))
        stops.settle(self._is_trading)
        return tuple(found)

    def _take_as_elected(
        self, order: StopOrder, offset: int, expired: list[Expired]
    ) -> StopElected:
        book, command = self.books[order.symbol], order.command
        quantity = self._amended.get(order.order_id)
        self._withdraw(book, order)
        if order.valid_until is not None and order.valid_until <= self.clock:
            # Left over from a backlog of expiries.
            took = Taken(command.quantity, "expired")
        else:
            took = self._match(command, offset, book, expired)
        if took.closed_reason is None:
            self._rest(command, took.remaining, book, order.accepted_at)
            if quantity is not None:
                self._amended[order.order_id] = quantity
        return StopElected(
            order.order_id,
            order.broker_id,
            book.symbol,
            order.side,
            order.trigger_price,
            took.remaining,
            book.sequence,
            command.price,
            None if command.time_in_force == "day" else command.valid_until,
            took.closed_reason,
            took.fills,
            took.prevented,
        )
