"""Orders that take from the books: by their own command, or as elected stops. Pure.

All orders that take in one command share its bounds, and their trades are numbered together.
"""

from collections.abc import Sequence

from schemas.commands import PlaceOrder
from schemas.executions import Expired, Fill, StopElected
from schemas.ids import TRADE_INDEX_DIGITS, trade_id
from schemas.units import ClosedReason
from services.matcher.book import Book, IcebergOrder, PriceLevel
from services.matcher.incoming import closed_reason, crosses
from services.matcher.instrument import OrderTerms
from services.matcher.open_orders import OpenOrders
from services.matcher.rules import Rules
from services.matcher.stops import StopOrder, Stops


class TakingOrders(OpenOrders):
    """Base of the engine: orders trade with those that rest."""

    def __init__(self, partition: int, rules: Rules) -> None:
        super().__init__(partition, rules)
        # What the bounds leave to the rest of a command, and its trades so far. They change only
        # while there are stops: no other command has more than one order that takes.
        self._steps_left = rules.fills_max
        self._elections_left = rules.elections_max
        self._trades = 0

    def _match(
        self,
        command: PlaceOrder,
        offset: int,
        book: Book,
        fills: list[Fill],
        expired: list[Expired],
    ) -> int:
        """Trade with the best opposite orders, oldest first, and return the remaining quantity.

        A maker that is itself due, left over from a backlog of expiries, expires instead.
        """
        remaining, trades, gone = command.quantity, self._trades, len(expired)
        opposite = book.asks if command.side == "bid" else book.bids
        level = opposite.best
        touched: PriceLevel | None = None
        # All but the index of the trade, which is the last part of its id.
        id_start = trade_id(self.clock, self.partition, offset, 0)[:-TRADE_INDEX_DIGITS]
        for _ in range(self._steps_left):
            if not remaining or level is None or not crosses(command, level.price):
                break
            maker = level.oldest()
            if maker.valid_until is not None and maker.valid_until <= self.clock:
                expired.append(self._expire(maker))
                level = opposite.best
                continue
            quantity = min(remaining, maker.remaining)
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
            level = opposite.best
        if book.instrument is not None or self._stops is not None:
            self._note(book, fills, len(expired) - gone)
        return remaining

    def _note(self, book: Book, fills: list[Fill], dues: int) -> None:
        """Note the trades of an order, and the steps that they and orders that were due took."""
        if fills and book.instrument is not None:
            book.instrument.reference = fills[-1].price
        if self._stops is not None:
            self._stops.traded(book.symbol, fills)
            self._trades += len(fills)
            self._steps_left -= len(fills) + dues

    def _run_carried(self, offset: int, expired: list[Expired]) -> tuple[StopElected, ...]:
        """Let the stops take that earlier commands have elected."""
        self._steps_left, self._trades = self.rules.fills_max, 0
        self._elections_left = self.rules.elections_max
        if self._stops is None or not self._stops.carried:
            return ()
        return self._run_stops(self._stops, tuple(self._stops.carried), offset, expired)

    def _run_reached(self, offset: int, expired: list[Expired]) -> tuple[StopElected, ...]:
        """Let the stops take that this command's trades have reached."""
        if self._stops is None or not self._stops.traded_symbols:
            return ()
        return self._run_stops(self._stops, tuple(self._stops.traded_symbols), offset, expired)

    def _run_stops(
        self, stops: Stops, symbols: Sequence[str], offset: int, expired: list[Expired]
    ) -> tuple[StopElected, ...]:
        """Let elected stops of these symbols take, and those that their trades elect, as far as
        the bounds allow."""
        found: list[StopElected] = []
        for symbol in symbols:
            while self._elections_left and self._steps_left:
                order = stops.next_elected(symbol)
                if order is None:
                    break
                self._elections_left -= 1
                found.append(self._take_as_elected(order, offset, expired))
        stops.settle()
        return tuple(found)

    def _take_as_elected(
        self, order: StopOrder, offset: int, expired: list[Expired]
    ) -> StopElected:
        book, command = self.books[order.symbol], order.command
        self._withdraw(book, order)
        fills: list[Fill] = []
        remaining = command.quantity
        reason: ClosedReason | None
        if order.valid_until is not None and order.valid_until <= self.clock:
            # Left over from a backlog of expiries.
            reason = "expired"
        else:
            remaining = self._match(command, offset, book, fills, expired)
            opposite = book.asks if order.side == "bid" else book.bids
            reason = closed_reason(command, remaining, opposite.best)
        if reason is None:
            self._rest(command, remaining, book, order.accepted_at)
            self._terms[order.order_id] = OrderTerms(command.document_number)
        return StopElected(
            order.order_id,
            order.broker_id,
            book.symbol,
            order.side,
            order.trigger_price,
            remaining,
            book.sequence,
            command.price,
            command.valid_until,
            reason,
            tuple(fills),
        )
