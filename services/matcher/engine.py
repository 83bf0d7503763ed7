"""The matching engine of one partition: one command in, one outcome out.

Pure: no clock, no randomness, no I/O, no configuration; the same commands give the same bytes.
Every command first expires what is due, then is refused or applied. A refusal is decided before
anything is changed. An exception means a broken invariant: the process must stop.
"""

from heapq import heapify, heappop, heappush

from msgspec import Struct
from msgspec.structs import astuple

from schemas.commands import CancelOrder, Command, EnterOrder, PlaceOrder, SetInstrument, SetQuotas
from schemas.executions import (
    CommandRefused,
    Event,
    Expired,
    Fill,
    OrderAccepted,
    OrderCancelled,
    Outcome,
    QuotasSet,
    Ticked,
)
from schemas.ids import TRADE_INDEX_DIGITS, trade_id
from schemas.quotas import Quotas
from schemas.snapshots import BookRow, ClientIdRow, OrderRow
from schemas.units import ClosedReason
from services.matcher import instrument_state
from services.matcher.book import Book, Order, PriceLevel
from services.matcher.incoming import (
    closed_reason,
    crosses,
    may_rest,
    takes_enough,
    used_before,
    with_conditions,
    would_trade,
)
from services.matcher.instrument import OrderTerms
from services.matcher.quotas import BrokerQuotas, quota_state
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState, digest_of, named_part
from services.matcher.window import ClientIdWindow, OrderIdWindow, client_id_of, content_of

# Dead entries that the expiry queue may hold in addition to live ones before it is rebuilt.
EXPIRY_SLACK = 1_000


class EnginePosition(Struct, frozen=True, gc=False):
    """Position and timestamp of a command: the engine's only input besides the command."""

    partition: int
    offset: int
    timestamp: int


class BrokenInvariantError(Exception):
    """The engine contradicts itself. The process must stop, or the error would spread."""


class Engine:
    """Every book of one partition."""

    def __init__(self, partition: int, rules: Rules = RULES) -> None:
        self.partition = partition
        self.rules = rules
        self.clock = 0
        self.books: dict[str, Book] = {}
        self.open_orders: dict[str, Order] = {}
        # The books changed by the latest command, by symbol, in the order they were first changed.
        # `market_data.book_updates` reads them: it is the second output of `apply`.
        self.changed: dict[str, Book] = {}
        # Of open orders that entered symbols with instruments.
        self._terms: dict[str, OrderTerms] = {}
        # None until the log sets quotas.
        self._quotas: BrokerQuotas | None = None
        self._client_ids = ClientIdWindow(
            rules.client_ids_max, rules.client_id_window_ms, rules.client_id_block
        )
        # (valid_until, accepted_at, order). Entries of closed orders are discarded later.
        self._expiries: list[tuple[int, int, Order]] = []
        self._expiring = 0

    def apply(self, command: Command | None, at: EnginePosition) -> Outcome:
        """Apply a command and return its outcome; None stands for an unreadable record.

        There is a second output: `changed`, the books that this command changed, valid until the
        next call. `market_data.book_updates` makes their public records. The outcome does not
        contain them, because they take time to build and most commands of a replay need none.
        """
        clock = self.clock
        if at.timestamp > clock:
            self.clock = clock = at.timestamp
        if self.changed:
            self.changed = {}
        expired: list[Expired] = []
        expiries = self._expiries
        if expiries and expiries[0][0] <= clock:
            self._expire_due(expired)
        event: Event
        if type(command) is PlaceOrder:
            event = self._place(command, at, expired)
        elif type(command) is CancelOrder:
            event = self._cancel(command)
        elif type(command) is EnterOrder:
            event = with_conditions(command, self._place(command, at, expired))
        elif command is None:
            event = CommandRefused("malformed_command")
        elif type(command) is SetInstrument:
            event = instrument_state.set_instrument(self.books, command)
        elif type(command) is SetQuotas:
            event = self._set_quotas(command.quotas)
        else:
            event = Ticked()
        return Outcome(clock, event, tuple(expired) if expired else ())

    @property
    def quotas(self) -> Quotas | None:
        """The quotas that the log has set last; None before."""
        return None if self._quotas is None else self._quotas.quotas

    def _set_quotas(self, quotas: Quotas) -> QuotasSet:
        if self._quotas is None:
            order_ids = OrderIdWindow(self.rules.order_id_window_ms, self.rules.client_id_block)
            self._quotas = BrokerQuotas(quotas, order_ids)
            for order in self.open_orders.values():
                self._quotas.rested(order.broker_id)
            self._client_ids.count_by_broker()
        self._quotas.quotas = quotas
        return QuotasSet(quotas)

    def next_expiry(self) -> int | None:
        """The earliest `valid_until` of an open order, in milliseconds; None if there is none."""
        expiries = self._expiries
        while expiries and expiries[0][2].remaining == 0:
            heappop(expiries)
        return expiries[0][0] if expiries else None

    def _expire_due(self, expired: list[Expired]) -> None:
        expiries, clock = self._expiries, self.clock
        while expiries and expiries[0][0] <= clock and len(expired) < self.rules.expiries_max:
            order = heappop(expiries)[2]
            if order.remaining:
                expired.append(self._expire(order))

    def _expire(self, order: Order) -> Expired:
        book = self.books[order.symbol]
        remaining = self._withdraw(book, order)
        return Expired(order.order_id, order.broker_id, order.symbol, remaining, book.sequence)

    def _touch(self, book: Book, key: int) -> None:
        """Record a changed level. All changes by one command count as one change of the book."""
        if book.symbol in self.changed:
            book.changed.append(key)
        else:
            self.changed[book.symbol] = book
            book.sequence += 1
            book.changed = [key]

    def _withdraw(self, book: Book, order: Order) -> int:
        """Remove an open order from all structures and return its remaining quantity."""
        remaining = order.remaining
        side = book.bids if order.side == "bid" else book.asks
        self._touch(book, side.remove(order))
        self._forget(order)
        return remaining

    def _forget(self, order: Order) -> None:
        """Remove a closed order from all structures but its book."""
        del self.open_orders[order.order_id]
        if self._terms:
            self._terms.pop(order.order_id, None)
        if self._quotas is not None:
            self._quotas.left(order.broker_id)
        if order.valid_until is not None:
            self._expiring -= 1
            if len(self._expiries) > 2 * self._expiring + EXPIRY_SLACK:
                # In place, because callers iterate over the same list.
                self._expiries[:] = [entry for entry in self._expiries if entry[2].remaining]
                heapify(self._expiries)

    def _cancel(self, command: CancelOrder) -> Event:
        order = self.open_orders.get(command.order_id)
        if order is None:
            return CommandRefused("order_not_open", command.order_id, command.broker_id)
        if order.broker_id != command.broker_id:
            return CommandRefused("not_owner", command.order_id, command.broker_id)
        book = self.books[order.symbol]
        remaining = self._withdraw(book, order)
        return OrderCancelled(
            order.order_id, order.broker_id, order.symbol, remaining, book.sequence
        )

    def _place(self, command: PlaceOrder, at: EnginePosition, expired: list[Expired]) -> Event:
        order_id = command.order_id
        client_id = ""
        if command.client_order_id is not None:
            client_id = client_id_of(command)
            known = self._client_ids.find(client_id, self.clock)
            if known is not None:
                return used_before(command, known)
        if order_id in self.open_orders:
            return CommandRefused("duplicate_order_id", order_id, command.broker_id)
        book = self.books.get(command.symbol)
        if self._quotas is not None:
            has_book = book is not None
            client_ids = self._client_ids.count(command.broker_id) if client_id else 0
            code = self._quotas.refusal(command, at.offset, self.clock, client_ids, has_book)
            if code is not None:
                return CommandRefused(code, order_id, command.broker_id)
        if book is not None and book.instrument is not None:
            code = book.instrument.refusal(command)
            if code is not None:
                return CommandRefused(code, order_id, command.broker_id)
        if type(command) is EnterOrder and would_trade(
            command, book, self.clock, self.rules.fills_max
        ):
            return CommandRefused("post_only_would_trade", order_id, command.broker_id)
        if client_id:
            row = ClientIdRow(client_id, f"{order_id} {content_of(command)}")
            self._client_ids.remember(row, command.broker_id, at.offset, self.clock)
        # An order that neither trades nor rests leaves no trace, not even an empty book.
        return self._accept(command, at, book or Book(command.symbol), expired)

    def _accept(
        self, command: PlaceOrder, at: EnginePosition, book: Book, expired: list[Expired]
    ) -> OrderAccepted:
        fills: list[Fill] = []
        side, price, remaining = command.side, command.price, command.quantity
        valid_until = command.valid_until
        reason: ClosedReason | None = "expired"
        if valid_until is None or valid_until > self.clock:
            opposite = book.asks if side == "bid" else book.bids
            if type(command) is EnterOrder and not takes_enough(
                command, opposite, self.clock, self.rules.fills_max
            ):
                reason = "no_liquidity"
            elif opposite.best is not None and crosses(command, opposite.best.price):
                remaining = self._match(command, at, book, fills, expired)
                reason = closed_reason(command, remaining, opposite.best)
            else:
                # Plain orders first: a call for each of them would cost one per cent.
                is_plain_limit = type(command) is PlaceOrder and command.order_type == "limit"
                rests = is_plain_limit or may_rest(command)
                reason = None if rests else "no_liquidity"
            if reason is None:
                self._rest(command, remaining, book, at.offset)
                if book.instrument is not None:
                    self._terms[command.order_id] = OrderTerms(command.document_number)
        return OrderAccepted(
            command.order_id,
            command.broker_id,
            command.document_number,
            book.symbol,
            side,
            command.order_type,
            command.quantity,
            remaining,
            book.sequence,
            price,
            valid_until,
            command.client_order_id,
            reason,
            tuple(fills) if fills else (),
        )

    def _match(
        self,
        command: PlaceOrder,
        at: EnginePosition,
        book: Book,
        fills: list[Fill],
        expired: list[Expired],
    ) -> int:
        """Trade with the best opposite orders, oldest first, and return the remaining quantity.

        A maker that is itself due, left over from a backlog of expiries, expires instead.
        """
        remaining, clock = command.quantity, self.clock
        opposite = book.asks if command.side == "bid" else book.bids
        level = opposite.best
        touched: PriceLevel | None = None
        # All but the index of the trade, which is the last part of its id.
        id_start = trade_id(clock, self.partition, at.offset, 0)[:-TRADE_INDEX_DIGITS]
        for _ in range(self.rules.fills_max):
            if not remaining or level is None or not crosses(command, level.price):
                break
            maker = level.oldest()
            if maker.valid_until is not None and maker.valid_until <= clock:
                expired.append(self._expire(maker))
                level = opposite.best
                continue
            quantity = min(remaining, maker.remaining)
            remaining -= quantity
            if level is not touched:
                self._touch(book, level.key)
                touched = level
            opposite.take(level, maker, quantity)
            if maker.remaining == 0:
                self._forget(maker)
            book.trade_sequence += 1
            fills.append(
                Fill(
                    f"{id_start}{len(fills):04x}",
                    book.trade_sequence,
                    level.price,
                    quantity,
                    maker.order_id,
                    maker.broker_id,
                    maker.remaining,
                )
            )
            level = opposite.best
        if fills and book.instrument is not None:
            book.instrument.reference = fills[-1].price
        return remaining

    def _rest(self, command: PlaceOrder, remaining: int, book: Book, offset: int) -> None:
        price, valid_until, broker_id = command.price, command.valid_until, command.broker_id
        if price is None:
            raise BrokenInvariantError(f"market order {command.order_id} would rest")
        order = Order(
            command.order_id,
            broker_id,
            book.symbol,
            command.side,
            price,
            remaining,
            valid_until,
            offset,
        )
        side = book.bids if order.side == "bid" else book.asks
        self.open_orders[order.order_id] = order
        quotas = self._quotas
        if book.symbol not in self.books:
            self.books[book.symbol] = book
            if quotas is not None:
                quotas.opened(book.symbol, broker_id)
        if quotas is not None:
            quotas.rested(broker_id)
        self._touch(book, side.add(order))
        if valid_until is not None:
            heappush(self._expiries, (valid_until, offset, order))
            self._expiring += 1

    def snapshot(self) -> EngineState:
        """The state as an immutable value."""
        books = [self.books[symbol] for symbol in sorted(self.books)]
        return EngineState(
            self.partition,
            self.clock,
            tuple(BookRow(book.symbol, book.sequence, book.trade_sequence) for book in books),
            tuple(OrderRow(*astuple(order)) for book in books for order in book.all_orders()),
            self._client_ids.blocks(),
            *quota_state(self._quotas),
            *instrument_state.rows(books, self._terms),
        )

    @classmethod
    def restore(cls, state: EngineState, rules: Rules = RULES) -> "Engine":
        """Build an engine that behaves exactly like the saved one."""
        engine = cls(state.partition, rules)
        engine.clock = state.clock
        for row in state.books:
            book = engine.books[row.symbol] = Book(row.symbol)
            book.sequence, book.trade_sequence = row.sequence, row.trade_sequence
        engine._terms = instrument_state.restore(engine.books, state.instruments, state.terms)
        for saved in state.orders:
            order = Order(*astuple(saved))
            engine.books[order.symbol].side(order.side).add(order)
            engine.open_orders[order.order_id] = order
            if order.valid_until is not None:
                engine._expiries.append((order.valid_until, order.accepted_at, order))
        heapify(engine._expiries)
        engine._expiring = len(engine._expiries)
        engine._client_ids.restore(state.client_ids)
        if state.quotas is not None:
            engine._set_quotas(state.quotas)
        if engine._quotas is not None:
            engine._quotas.restore(state.openers, state.order_ids)
        return engine

    def digest(self) -> bytes:
        """Digest of the state, computed without `snapshot`, so that an error there is detected."""
        books = [self.books[symbol] for symbol in sorted(self.books)]
        quotas, openers, order_ids = quota_state(self._quotas)
        instruments, terms = instrument_state.rows(books, self._terms)
        return digest_of(
            (self.partition, self.clock),
            [(book.symbol, book.sequence, book.trade_sequence) for book in books],
            [astuple(order) for book in books for order in book.all_orders()],
            *self._client_ids.blocks(),
            *((quotas, openers, *order_ids) if quotas is not None else ()),
            *named_part("instruments", instruments),
            *named_part("terms", terms),
        )
