"""Invariants of the engine, checked after every command against a separate record of the market.

Independent of the engine's code: it keeps its own ledger of orders and its own public order book.
"""

from msgspec import structs

from schemas.book import BookUpdate
from schemas.commands import AmendOrder, Command, EnterOrder, PlaceOrder
from schemas.executions import (
    Expired,
    Fill,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    Outcome,
    PhaseSet,
    StopElected,
)
from schemas.ids import trade_id
from schemas.instruments import Phase
from schemas.outcome_steps import Taking, is_parked, prevented_by, steps_of
from schemas.trades import Trade
from schemas.units import Side
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.rules import Rules
from tests.properties.ledger import (
    LedgerEntry,
    check_amended_stop,
    check_conditions,
    check_displayed,
    opposite,
    totals,
)
from tests.properties.protections import Protections, met_after
from tests.properties.public_book import SIDES, PublicBook

ON_BOOKS = Expired | Taking | OrderCancelled | PhaseSet


class InvariantChecker:
    """Checks expired engine; `check` must be called once after each command, in order."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self.engine = engine
        self.rules = rules
        self.clock = 0
        self.open: dict[str, LedgerEntry] = {}
        # Stop orders that wait, outside the books.
        self.parked: dict[str, LedgerEntry] = {}
        self.books: dict[str, PublicBook] = {}
        self.trade_sequence: dict[str, int] = {}
        self.shares: dict[tuple[str, str], int] = {}
        self.cash: dict[str, int] = {}
        self.changed: set[str] = set()
        self.phases: dict[str, Phase] = {}
        # Places in queues that were given to orders so far.
        self.places = 0
        self.protections = Protections()

    def _next_place(self) -> int:
        self.places += 1
        return self.places

    def check(self, command: Command | None, at: EnginePosition, outcome: Outcome) -> None:
        """Check the outcome and the order books. Raises AssertionError at the first violation."""
        self.changed = set()
        assert outcome.time == max(self.clock, at.timestamp), "the time is not the command log's"
        self.clock = outcome.time
        trades = trades_of(outcome, at)
        updates = book_updates(outcome, at, self.engine)
        for expired in outcome.expired:
            self._check_expired(expired)
        steps = [step for step, _ in steps_of(outcome)]
        expected: list[Trade] = []
        for step in steps:
            self._check_step(command, step, at)
            if isinstance(step, Taking):
                expected += self._expected_trades(step, at, len(expected))
        assert trades == expected, "trades differ from fills"
        self.protections.end(outcome, [entry.event for entry in self.open.values()])
        self._check_book_updates(updates, at)
        self._check_sequences(outcome)
        self._check_books()
        assert sum(self.shares.values()) == 0, "shares bought and sold differ"
        assert sum(self.cash.values()) == 0, "cash paid and received differ"

    def _check_step(self, command: Command | None, step: object, at: EnginePosition) -> None:
        if isinstance(step, PhaseSet):
            self._check_phase(step)
        elif isinstance(step, Taking):
            phase = self.phases.get(step.symbol, "continuous")
            assert phase == "continuous", f"an order was taken while {phase}"
        if isinstance(step, OrderAccepted):
            assert isinstance(command, PlaceOrder)
            self._check_accepted(command, step)
        elif isinstance(step, OrderAmended):
            assert isinstance(command, AmendOrder)
            self._check_amended(command, step)
        elif isinstance(step, StopElected):
            self._check_elected(step)
        elif isinstance(step, OrderCancelled):
            entry = self._close(step.order_id, step.remaining_quantity)
            assert entry.event.broker_id == step.broker_id, "cancelled by another broker"

    def _check_phase(self, event: PhaseSet) -> None:
        assert event.previous == self.phases.get(event.symbol, "continuous"), "wrong phase before"
        self.phases[event.symbol] = event.phase
        if event.phase == event.previous:
            return
        self.changed.add(event.symbol)
        if event.phase != "closed":
            return
        for entry in (*self.open.values(), *self.parked.values()):
            order = entry.event
            is_day = isinstance(order, OrderEntered) and order.time_in_force == "day"
            # One that an earlier close ended may still wait, by the bound on expiries.
            if order.symbol == event.symbol and is_day and order.valid_until is None:
                # The close is the end of these orders; no event contains it.
                entry.event = structs.replace(order, valid_until=self.clock)

    def _check_elected(self, step: StopElected) -> None:
        entry = self.parked.pop(step.order_id)
        order = entry.event
        assert isinstance(order, OrderEntered)
        assert order.stop_price is not None
        beyond = step.trigger_price - order.stop_price
        assert (beyond if step.side == "bid" else -beyond) >= 0, "elected short of its stop price"
        assert (step.price, step.side) == (order.price, order.side), "another order"
        self._check_took(order, step)
        entry.filled = sum(fill.quantity for fill in step.fills)
        entry.remaining = step.remaining_quantity
        assert order.quantity == entry.filled + entry.remaining, "not filled + remaining"
        assert (step.closed_reason == "filled") == (entry.remaining == 0)
        if step.closed_reason is None:
            assert order.price is not None, "a market order rests in the book"
            entry.place = self._next_place()
            entry.show_slice()
            self.open[step.order_id] = entry
            self.changed.add(step.symbol)

    def _check_expired(self, expired: Expired) -> None:
        entry = self._close(expired.order_id, expired.remaining_quantity)
        until = entry.event.valid_until
        assert until is not None, "an order without valid_until expired"
        assert until <= self.clock, "an order expired too early"

    def _close(self, order_id: str, remaining: int) -> LedgerEntry:
        """Remove a closed order; it must have been open, with this remaining quantity."""
        if order_id in self.parked:
            entry = self.parked.pop(order_id)
        else:
            assert order_id in self.open, "an order that is not open left the book"
            entry = self.open.pop(order_id)
            self.changed.add(entry.event.symbol)
        assert entry.event.quantity == entry.filled + remaining, "quantity: not filled + remaining"
        return entry

    def _check_accepted(self, command: PlaceOrder, event: OrderAccepted) -> None:
        known = self.open.keys() | self.parked.keys()
        assert command.order_id not in known, "an open order was accepted again"
        fields = ("broker_id", "symbol", "side", "order_type", "quantity", "price", "valid_until")
        for field in ("order_id", "document_number", "client_order_id", *fields):
            assert getattr(event, field) == getattr(command, field), f"{field} is not the command's"
        self._check_took(event, event)
        filled = sum(fill.quantity for fill in event.fills)
        assert event.quantity == filled + event.remaining_quantity, "not filled + remaining"
        assert (event.closed_reason == "filled") == (event.remaining_quantity == 0)
        if isinstance(event, OrderEntered):
            assert isinstance(command, EnterOrder), "conditions that the command lacks"
            check_conditions(command, event, filled)
        else:
            assert not isinstance(command, EnterOrder), "the conditions are lost"
        if is_parked(event):
            assert not event.fills, "a stop order took when it arrived"
            entry = LedgerEntry(event, 0, event.quantity, 0, 0)
            self.parked[event.order_id] = entry
        elif event.closed_reason is None:
            assert event.order_type == "limit", "a market order rests in the book"
            in_force = event.time_in_force if isinstance(event, OrderEntered) else None
            assert in_force not in {"ioc", "fok"}, f"an {in_force} order rests in the book"
            entry = LedgerEntry(event, self._next_place(), event.remaining_quantity, filled, 0)
            if isinstance(event, OrderEntered):
                entry.display = event.display_quantity or 0
            entry.show_slice()
            check_displayed(event, entry)
            self.open[event.order_id] = entry
            self.changed.add(event.symbol)

    def _check_amended(self, command: AmendOrder, event: OrderAmended) -> None:
        if event.order_id in self.parked:
            check_amended_stop(self.parked[event.order_id], event)
            if event.closed_reason is not None:
                del self.parked[event.order_id]
            return
        assert event.order_id in self.open, "an order that is not open was amended"
        entry = self.open[event.order_id]
        former, left = entry.event, entry.remaining
        assert former.broker_id == command.broker_id, "amended by another broker"
        assert (event.symbol, event.side) == (former.symbol, former.side), "another order"
        arrives = event.remaining_quantity + sum(fill.quantity for fill in event.fills)
        stays = event.price == former.price and arrives <= left
        closes = event.closed_reason is not None and not event.fills
        assert event.kept_priority == (stays and not closes), "priority is not by the rule"
        assert not (command.post_only and event.fills), "a post-only order took"
        entry.event = structs.replace(
            former,
            price=event.price,
            valid_until=event.valid_until,
            quantity=entry.filled + arrives,
        )
        # What the book does not show is cut first.
        entry.shown = min(entry.shown, arrives)
        entry.remaining = arrives
        if command.display_quantity is not None and not closes:
            entry.display = command.display_quantity
        if not event.kept_priority:
            # Out of the queue while it takes, and behind all others afterwards.
            del self.open[event.order_id]
            entry.place = self._next_place()
        self._check_took(former, event)
        traded = sum(fill.quantity for fill in event.fills)
        entry.remaining -= traded
        entry.filled += traded
        if event.closed_reason is None:
            self.open[event.order_id] = entry
            if not event.kept_priority:
                entry.show_slice()
            check_displayed(event, entry)
        assert (event.closed_reason == "filled") == (entry.remaining == 0)
        if event.former_price is not None:
            assert event.former_price == former.price, "the former price is another"
            self.changed.add(event.symbol)

    def _check_took(self, order: OrderAccepted, step: Taking) -> None:
        """Follow an order through the book: its fills, and its own orders that it came to."""
        mode = order.self_trade_prevention if isinstance(order, OrderEntered) else None
        for number, fill in enumerate(step.fills):
            self._check_prevented(order, step, number)
            maker = self.open[fill.maker_order_id].event
            assert mode is None or not self.protections.is_own(order, maker), "own orders traded"
            assert self.protections.is_in_band(step.symbol, fill.price), "a trade outside the band"
            self._check_fill(step, fill)
        self._check_prevented(order, step, len(step.fills))
        is_closed = bool(prevented_by(step)) and mode != "cancel_maker"
        assert is_closed == (step.closed_reason == "self_trade"), "prevention without its reason"
        if step.closed_reason == "price_band":
            queue = self._queue(step.symbol, opposite(step.side))
            prices = [e.event.price or 0 for e in queue if not self._is_due(e.event)]
            allowed = [self.protections.is_in_band(step.symbol, price) for price in prices]
            assert allowed[:1] == [False], "the next price is not outside the band"

    def _check_prevented(self, order: OrderAccepted, step: Taking, fills: int) -> None:
        for one in met_after(step, fills):
            assert isinstance(order, OrderEntered)
            maker = self._queue(step.symbol, opposite(step.side))[0]
            assert one.maker_order_id == maker.event.order_id, "prevented out of turn"
            assert self.protections.is_own(order, maker.event), "prevented with another's order"
            mode = order.self_trade_prevention
            assert one.quantity == (0 if mode == "cancel_taker" else maker.remaining)
            if one.quantity:
                self._close(one.maker_order_id, one.quantity)

    def _is_due(self, order: OrderAccepted) -> bool:
        return order.valid_until is not None and order.valid_until <= self.clock

    def _check_fill(self, taker: Taking, fill: Fill) -> None:
        assert taker.valid_until is None or self.clock < taker.valid_until, "expired taker traded"
        queue = self._queue(taker.symbol, opposite(taker.side))
        assert queue, "a fill without a counterparty"
        maker = queue[0]
        assert maker.event.order_id == fill.maker_order_id, "maker is not the best price's oldest"
        assert maker.event.broker_id == fill.maker_broker_id, "wrong broker of the maker"
        assert maker.event.price == fill.price, "price is not the maker's"
        until = maker.event.valid_until
        assert until is None or self.clock < until, "a fill at or after valid_until"
        if taker.price is not None:
            improvement = taker.price - fill.price
            assert (improvement if taker.side == "bid" else -improvement) >= 0, "limit price broken"
        self._apply_fill(taker, maker, fill)

    def _apply_fill(self, taker: Taking, maker: LedgerEntry, fill: Fill) -> None:
        assert 0 < fill.quantity <= maker.shown, "fill exceeds what the maker's order shows"
        sold_by_maker = maker.remaining - fill.maker_remaining_quantity
        maker.remaining = fill.maker_remaining_quantity
        maker.filled += fill.quantity
        maker.shown -= fill.quantity
        if not maker.shown and maker.remaining:
            maker.show_slice()
            maker.place = self._next_place()
        displayed = fill.maker_displayed_quantity
        assert displayed in {None, maker.shown}, "the maker's order shows another quantity"
        symbol = taker.symbol
        self.changed.add(symbol)
        if maker.remaining == 0:
            self._close(fill.maker_order_id, 0)
        sign = 1 if taker.side == "bid" else -1
        sides = (
            (taker.broker_id, sign * fill.quantity),
            (fill.maker_broker_id, -sign * sold_by_maker),
        )
        for broker, shares in sides:
            self.shares[broker, symbol] = self.shares.get((broker, symbol), 0) + shares
            self.cash[broker] = self.cash.get(broker, 0) - shares * fill.price

    def _expected_trades(self, event: Taking, at: EnginePosition, first: int) -> list[Trade]:
        trades = []
        for index, fill in enumerate(event.fills, first):
            sequence = self.trade_sequence.get(event.symbol, 0) + 1
            self.trade_sequence[event.symbol] = sequence
            assert fill.sequence == sequence, "the trades' sequence has a gap or a repeat"
            name = trade_id(self.clock, at.partition, at.offset, index)
            assert fill.trade_id == name, "the trade id does not encode its position"
            trade = Trade(
                symbol=event.symbol,
                sequence=sequence,
                trade_id=name,
                time=self.clock,
                price=fill.price,
                quantity=fill.quantity,
                aggressor_side=event.side,
                command_offset=at.offset,
                index=index,
            )
            trades.append(trade)
        return trades

    def _check_book_updates(self, updates: list[BookUpdate], at: EnginePosition) -> None:
        assert {update.symbol for update in updates} == self.changed, "updates of other books"
        for index, update in enumerate(updates):
            assert (update.command_offset, update.index) == (at.offset, index), "wrong position"
            assert update.time == self.clock, "wrong time"
            empty = PublicBook(0, {side: {} for side in SIDES})
            book = self.books.setdefault(update.symbol, empty)
            book.apply(update)
            counted = update.sequence == 1 or update.sequence % self.rules.whole_book_every == 0
            levels = sum(len(book.levels[side]) for side in SIDES)
            small = levels <= self.rules.whole_book_levels_max
            assert update.whole == (counted and small), "a whole book at the wrong sequence"

    def _check_sequences(self, outcome: Outcome) -> None:
        steps = [*outcome.expired, *(step for step, _ in steps_of(outcome))]
        events = [step for step in steps if isinstance(step, ON_BOOKS)]
        last = {event.symbol: event.book_sequence for event in events}
        for event in events:
            book = self.books.get(event.symbol)
            number = book.sequence if book else 0
            # A step before the first change of a book has the number before it.
            before = number - (event.symbol in self.changed)
            assert before <= event.book_sequence <= number, "wrong book sequence"
            assert last[event.symbol] == number, "wrong book sequence at the end"

    def _queue(self, symbol: str, side: Side) -> list[LedgerEntry]:
        sign = -1 if side == "bid" else 1
        entries = [
            e for e in self.open.values() if (e.event.symbol, e.event.side) == (symbol, side)
        ]
        return sorted(entries, key=lambda e: (sign * (e.event.price or 0), e.place))

    def _check_books(self) -> None:
        waiting = (*self.open.values(), *self.parked.values())
        ends = [e.event.valid_until for e in waiting if e.event.valid_until is not None]
        elected = {row.order.symbol for row in self.engine.snapshot().stops if row.trigger_price}
        carried = any(self.phases.get(name, "continuous") == "continuous" for name in elected)
        due = self.clock if carried else min(ends, default=None)
        assert self.engine.next_due() == due, "the next expiry is wrong"
        for symbol, book in self.engine.books.items():
            public = self.books.get(symbol)
            assert book.sequence == (public.sequence if public else 0)
            phase = public.phase if public else "continuous"
            assert phase == self.phases.get(symbol, "continuous"), "the public phase differs"
            assert book.trade_sequence == self.trade_sequence.get(symbol, 0)
            best: dict[Side, int] = {}
            for side in SIDES:
                queue = self._queue(symbol, side)
                expected_queue = [(e.event.order_id, e.remaining, e.shown) for e in queue]
                engine_queue = [(o.order_id, o.unfilled, o.remaining) for o in book.orders(side)]
                assert expected_queue == engine_queue, (
                    "the queue is not the open orders in priority order"
                )
                levels = list(book.levels(side, 1_000))
                assert levels == totals(queue), "a level is not the sum of its orders"
                assert levels == (public.side(side) if public else []), "the public book differs"
                if levels:
                    best[side] = levels[0].price
            if len(best) == len(SIDES):
                assert best["bid"] < best["ask"], "the book is crossed at rest"
