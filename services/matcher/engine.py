"""The matching engine of one partition: one command in, one outcome out.

Pure: no clock, no randomness, no I/O, no configuration; the same commands give the same bytes.
Every command first expires what is due, then is refused or applied. A refusal is decided before
anything is changed. An exception means a broken invariant: the process must stop.
"""

from msgspec import Struct, structs

from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    SetQuotas,
)
from schemas.executions import (
    CommandRefused,
    Event,
    Expired,
    OrderAccepted,
    OrderCancelled,
    Outcome,
    QuotasSet,
    RefusalCode,
    StopElected,
    Ticked,
)
from schemas.quotas import Quotas
from schemas.snapshots import AmendedRow, BookRow, ClientIdRow
from schemas.units import ClosedReason
from services.matcher import instrument_state
from services.matcher.amend import (
    Amendment,
    amendment_of,
    arriving_anew,
    is_amendable,
    order_amended,
    refused_amendment,
)
from services.matcher.book import Book, IcebergOrder, Order
from services.matcher.incoming import (
    conditions_refusal,
    crosses,
    may_rest,
    used_before,
    with_conditions,
)
from services.matcher.phases import PhasedOrders
from services.matcher.quotas import BrokerQuotas, quota_state
from services.matcher.rows import (
    iceberg_rows,
    order_fields,
    order_rows,
    prevention_rows,
    restored_orders,
    terms_rows,
)
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState, digest_of, named_part
from services.matcher.stops import StopOrder, stop_rows
from services.matcher.taking import Taken
from services.matcher.window import ClientIdWindow, OrderIdWindow, client_id_of, content_of


class EnginePosition(Struct, frozen=True, gc=False):
    """Position and timestamp of a command: the engine's only input besides the command."""

    partition: int
    offset: int
    timestamp: int


class Engine(PhasedOrders):
    """Every book of one partition."""

    def __init__(self, partition: int, rules: Rules = RULES) -> None:
        super().__init__(partition, rules)
        self._client_ids = ClientIdWindow(
            rules.client_ids_max, rules.client_id_window_ms, rules.client_id_block
        )

    def apply(self, command: Command | None, at: EnginePosition) -> Outcome:
        """Apply a command and return its outcome; None is an unreadable record.

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
        # Without stops, a command has its event alone.
        before: tuple[StopElected, ...] = ()
        after: tuple[StopElected, ...] = ()
        if self._stops is not None:
            rules = self.rules
            self._steps_left, self._elections_left = rules.fills_max, rules.elections_max
            self._trades = 0
            if self._stops.carried:
                before = self._run_stops(self._stops, self._stops.carried, at.offset, expired)
        event: Event
        if type(command) is PlaceOrder or type(command) is EnterOrder:
            event = self._place(command, at, expired)
        elif type(command) is CancelOrder:
            event = self._cancel(command)
        elif type(command) is AmendOrder:
            event = self._amend(command, at, expired)
        else:
            event = self._apply_rare(command)
        if self._stops is not None and self._stops.traded_symbols:
            after = self._run_stops(self._stops, self._stops.traded_symbols, at.offset, expired)
        return Outcome(clock, event, tuple(expired) if expired else (), before, after)

    def _apply_rare(self, command: Command | None) -> Event:
        if command is None:
            return CommandRefused("malformed_command")
        if type(command) is CancelAll:
            return self._cancel_all(command)
        if type(command) is SetInstrument:
            return instrument_state.set_instrument(self.books, command)
        if type(command) is SetPhase:
            return self._set_phase(command)
        if type(command) is SetQuotas:
            return self._set_quotas(command.quotas)
        return Ticked()

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

    def _amend(self, command: AmendOrder, at: EnginePosition, expired: list[Expired]) -> Event:
        code = self._refusal_of_target(command)
        if code is not None:
            return refused_amendment(command, code)
        order = self.open_orders[command.order_id]
        if isinstance(order, StopOrder):
            return self._amend_stop(order, command, at.offset)
        is_day = order.order_id in self._day_orders
        book, quantity = self.books[order.symbol], self._amended.get(order.order_id)
        after = amendment_of(order, command, quantity, self.clock)
        taker = arriving_anew(order, after, is_day=is_day, post_only=command.post_only)
        code = self._refusal_of(command, order, after, taker)
        if code is not None:
            return refused_amendment(command, code)
        if is_day:
            # A day order expires at the close, not at a given time.
            after = structs.replace(after, valid_until=None)
        if after.keeps_priority:
            is_changed = self._change(book, order, after)
            taken = None
        else:
            is_changed = True
            after, taken = self._arrive_anew(order, taker, after, at, expired)
        after = structs.replace(after, displayed=self._displayed(order.order_id))
        event = order_amended(command, order, after, book.sequence, is_changed=is_changed)
        if taken is None:
            return event
        return structs.replace(event, fills=taken.fills, prevented=taken.prevented)

    def _arrive_anew(
        self,
        order: Order,
        taker: EnterOrder,
        after: Amendment,
        at: EnginePosition,
        expired: list[Expired],
    ) -> tuple[Amendment, Taken]:
        """Remove an order and let it arrive with amended values; returns these and its trades."""
        book = self.books[order.symbol]
        self._withdraw(book, order)
        took = Taken(after.remaining, after.closed_reason)
        if took.closed_reason is None:
            took = self._match(taker, at.offset, book, expired)
            after = structs.replace(
                after, remaining=took.remaining, closed_reason=took.closed_reason
            )
        if after.closed_reason is None:
            self._rest(taker, after.remaining, book, order.accepted_at)
            if after.quantity is not None:
                self._amended[order.order_id] = after.quantity
        return after, took

    def _displayed(self, order_id: str) -> int | None:
        """The visible quantity of an open iceberg order; None for any other id."""
        order = self.open_orders.get(order_id)
        return order.remaining if isinstance(order, IcebergOrder) else None

    def _refusal_of_target(self, command: AmendOrder) -> RefusalCode | None:
        """Refusal of an amendment for the order that it names."""
        order = self.open_orders.get(command.order_id)
        if order is None:
            return "order_not_open"
        if order.broker_id != command.broker_id:
            return "not_owner"
        is_day = order.order_id in self._day_orders
        if not is_amendable(order, command, is_day=is_day):
            return "not_amendable"
        return None

    def _refusal_of(
        self, command: AmendOrder, order: Order, after: Amendment, taker: EnterOrder
    ) -> RefusalCode | None:
        """Refusal of an amendment in the wrong phase, or of one that leaves the order open and
        breaks a rule."""
        book = self.books[order.symbol]
        code = None if book.instrument is None else book.instrument.phase_refusal()
        if code is not None or after.closed_reason is not None:
            return code
        if book.instrument is not None:
            # The rules apply to the command's quantity, not to the remaining one.
            quantity = command.quantity or order.unfilled
            code = book.instrument.refusal(structs.replace(taker, quantity=quantity))
            if code is not None:
                return code
        if after.keeps_priority:
            return None
        return conditions_refusal(taker, book, self.clock, self._steps_left)

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
        code: RefusalCode | None = None
        if self._quotas is not None:
            has_book = book is not None
            client_ids = self._client_ids.count(command.broker_id) if client_id else 0
            code = self._quotas.refusal(command, at.offset, self.clock, client_ids, has_book)
        if code is None and book is not None and book.instrument is not None:
            code = book.instrument.refusal(command)
        if code is None and type(command) is EnterOrder:
            code = conditions_refusal(command, book, self.clock, self._steps_left)
        if code is not None:
            return CommandRefused(code, order_id, command.broker_id)
        if client_id:
            row = ClientIdRow(client_id, f"{order_id} {content_of(command)}")
            self._client_ids.remember(row, command.broker_id, at.offset, self.clock)
        # An order that neither trades nor rests leaves no trace, not even an empty book.
        return self._accept(command, at, book or Book(command.symbol), expired)

    def _accept(
        self, command: PlaceOrder, at: EnginePosition, book: Book, expired: list[Expired]
    ) -> OrderAccepted:
        side, price, remaining = command.side, command.price, command.quantity
        valid_until = command.valid_until
        reason: ClosedReason | None = "expired"
        took: Taken | None = None
        if valid_until is None or valid_until > self.clock:
            opposite = book.asks if side == "bid" else book.bids
            if type(command) is EnterOrder and command.stop_price is not None:
                self._wait(StopOrder.parked(command, at.offset, at.offset))
                reason, rests = None, False
            elif type(command) is EnterOrder and not self._takes_enough(command, book, at.offset):
                reason, rests = "no_liquidity", False
            elif opposite.best is not None and crosses(command, opposite.best.price):
                took = self._match(command, at.offset, book, expired)
                remaining, reason = took.remaining, took.closed_reason
                rests = reason is None
            else:
                # Plain orders first: a call for each of them would cost one per cent.
                is_plain_limit = type(command) is PlaceOrder and command.order_type == "limit"
                rests = is_plain_limit or may_rest(command)
                reason = None if rests else "no_liquidity"
            if rests:
                self._rest(command, remaining, book, at.offset)
        accepted = OrderAccepted(
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
            () if took is None else took.fills,
        )
        if type(command) is not EnterOrder:
            return accepted
        prevented = () if took is None else took.prevented
        return with_conditions(command, accepted, prevented, self._displayed(command.order_id))

    def snapshot(self) -> EngineState:
        """The state as an immutable value."""
        books = [self.books[symbol] for symbol in sorted(self.books)]
        return EngineState(
            self.partition,
            self.clock,
            tuple(BookRow(book.symbol, book.sequence, book.trade_sequence) for book in books),
            order_rows(books),
            self._client_ids.blocks(),
            *quota_state(self._quotas),
            instrument_state.instrument_rows(books),
            terms_rows(books),
            tuple(AmendedRow(*item) for item in sorted(self._amended.items())),
            stop_rows(self._stops),
            iceberg_rows(books),
            prevention_rows(books),
            tuple(sorted(self._day_orders)),
        )

    @classmethod
    def restore(cls, state: EngineState, rules: Rules = RULES) -> "Engine":
        """Build an engine that behaves exactly like the saved one."""
        engine = cls(state.partition, rules)
        engine.clock = state.clock
        for row in state.books:
            book = engine.books[row.symbol] = Book(row.symbol)
            book.sequence, book.trade_sequence = row.sequence, row.trade_sequence
        instrument_state.restore(engine.books, state.instruments)
        for order in restored_orders(state):
            engine.books[order.symbol].side(order.side).add(order)
            engine.open_orders[order.order_id] = order
            if order.valid_until is not None:
                engine._will_expire(order, order.valid_until)
        engine._restore_stops(state.stops)
        engine._client_ids.restore(state.client_ids)
        if state.quotas is not None:
            engine._set_quotas(state.quotas)
        if engine._quotas is not None:
            engine._quotas.restore(state.openers, state.order_ids)
        engine._day_orders = {name: engine.open_orders[name] for name in state.day_orders}
        engine._amended = {row.order_id: row.quantity for row in state.amended}
        return engine

    def digest(self) -> bytes:
        """Digest of the state, computed without `snapshot`, so that an error there is detected."""
        books = [self.books[symbol] for symbol in sorted(self.books)]
        quotas, openers, order_ids = quota_state(self._quotas)
        return digest_of(
            (self.partition, self.clock),
            [(book.symbol, book.sequence, book.trade_sequence) for book in books],
            order_fields(books),
            *self._client_ids.blocks(),
            *((quotas, openers, *order_ids) if quotas is not None else ()),
            *named_part("instruments", instrument_state.instrument_rows(books)),
            *named_part("terms", terms_rows(books)),
            *named_part("amended", sorted(self._amended.items())),
            *named_part("stops", stop_rows(self._stops)),
            *named_part("icebergs", iceberg_rows(books)),
            *named_part("preventions", prevention_rows(books)),
            *named_part("day_orders", sorted(self._day_orders)),
        )
