"""Order books rebuilt from the recorded outcomes alone, with a check of every trade.

Pure, and independent of the engine: queues, totals and sequences are implemented here a second
time. The public records that must follow, trades and changed levels, are computed as well.
"""

from collections import deque
from collections.abc import Sequence

from schemas.book import BookUpdate, Level
from schemas.commands import AmendOrder, Command, PlaceOrder
from schemas.executions import (
    CommandRefused,
    Expired,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    Outcome,
    PhaseSet,
    Prevented,
    StopElected,
)
from schemas.ids import trade_id
from schemas.outcome_steps import ExecutedTrade, Taking, is_parked, prevented_by, steps_of
from schemas.trades import Trade
from schemas.units import Side
from services.audit.book_phases import BookPhases, public_trade
from services.audit.conditions import (
    broken_condition,
    crosses,
    displayed_by,
    is_killed,
    may_not_rest,
    needed,
)
from services.audit.protections import Protections
from services.audit.report import AuditReport
from services.audit.resting import Resting, RestingBook, carried, opposite
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState

SIDES: tuple[Side, Side] = ("bid", "ask")


class OutcomeBooks:
    """Every book of one partition. `trades` and `updates` belong to the latest outcome."""

    def __init__(
        self,
        partition: int,
        report: AuditReport,
        protections: Protections,
        rules: Rules = RULES,
    ) -> None:
        self.trades: list[Trade] = []
        self.updates: list[BookUpdate] = []
        self.clock = 0
        self._partition = partition
        self._rules = rules
        self._protections = protections
        self._protected = report["protections"]
        self._priority = report["priority"]
        self._conditions = report["conditions"]
        self._slices = report["slices"]
        self._sequences = report["sequences"]
        self._crossed = report["crossed"]
        self._books: dict[str, RestingBook] = {}
        self._orders: dict[str, Resting] = {}
        self._changed: dict[str, RestingBook] = {}
        # Own orders that takers of the latest outcome came to.
        self._prevented = 0
        self._phases = BookPhases()

    def carry(self, state: EngineState) -> None:
        """Take over the books where the audit begins."""
        self.clock = state.clock
        for row in state.books:
            book = self._books[row.symbol] = RestingBook(row.symbol)
            book.sequence, book.trades = row.sequence, row.trade_sequence
        icebergs = {row.order_id: row for row in state.icebergs}
        self._phases.carry(state)
        for order in state.orders:
            resting = carried(order, icebergs.get(order.order_id))
            self._orders[order.order_id] = resting
            self._books[order.symbol].add(order.order_id, resting)

    def apply(self, outcome: Outcome, offset: int, command: Command | None = None) -> None:
        """Apply the outcome of the command at `offset`."""
        self.trades, self._changed, self._prevented = [], {}, 0
        self._protections.begin(outcome)
        self._phases.next_outcome()
        self.clock = outcome.time
        for expired in outcome.expired:
            self._leaves(expired.order_id)
            self._look_at_sequence(expired, offset)
        for step, trades in steps_of(outcome):
            if isinstance(step, Taking):
                self._arrives(step, trades, outcome, offset)
            elif isinstance(step, OrderCancelled):
                self._leaves(step.order_id)
            elif isinstance(step, InstrumentSet):
                self._books.setdefault(step.symbol, RestingBook(step.symbol))
            elif isinstance(step, PhaseSet):
                self._phase_set(step)
            elif isinstance(step, CommandRefused) and step.code == "post_only_would_trade":
                self._look_at_post_only(command, offset)
            if isinstance(step, Taking | OrderCancelled | InstrumentSet | PhaseSet):
                self._look_at_sequence(step, offset)
        self.updates = [
            self._phases.shown(book.update(outcome.time, offset, index, self._rules))
            for index, book in enumerate(self._changed.values())
        ]
        self._crossed.checked += 1
        for book in self._changed.values():
            self._look_at_ends(book, offset)

    def _arrives(
        self, step: Taking, trades: Sequence[ExecutedTrade], outcome: Outcome, offset: int
    ) -> None:
        if isinstance(step, OrderAccepted):
            self._enters(step, trades, outcome, offset)
        elif isinstance(step, OrderAmended):
            self._amends(step, trades, outcome, offset)
        else:
            self._takes(self._books[step.symbol], step, trades, outcome, offset)

    def sequences(self) -> dict[str, int]:
        """The number of changes of each book."""
        return {symbol: book.sequence for symbol, book in self._books.items()}

    def levels(self, symbol: str, side: Side) -> list[Level]:
        """The levels of a side, best first."""
        book = self._books.get(symbol)
        return [] if book is None else book.levels(side)

    def _leaves(self, order_id: str) -> None:
        # An unknown order is reported by the ledger.
        order = self._orders.pop(order_id, None)
        if order is not None:
            book = self._books[order.symbol]
            self._touch(book, order)
            book.remove(order_id, order)

    def _phase_set(self, event: PhaseSet) -> None:
        if event.phase == event.previous:
            return
        self._changes(self._books[event.symbol])
        for order_id in self._phases.phase_set(event):
            order = self._orders.get(order_id)
            if order is not None and order.valid_until is None:
                order.valid_until = self.clock

    def _touch(self, book: RestingBook, order: Resting) -> None:
        self._changes(book)
        book.changed[order.side, order.price] = None

    def _changes(self, book: RestingBook) -> None:
        if book.symbol not in self._changed:
            self._changed[book.symbol] = book
            self._books[book.symbol] = book
            book.sequence += 1
            book.changed = {}

    def _enters(
        self,
        event: OrderAccepted,
        trades: Sequence[ExecutedTrade],
        outcome: Outcome,
        offset: int,
    ) -> None:
        where = f"{self._partition}@{offset} order {event.order_id}"
        book = self._books.get(event.symbol) or RestingBook(event.symbol)
        self._phases.entered(event)
        if isinstance(event, OrderEntered):
            dues = len(outcome.expired) if outcome.before else 0
            self._look_at_conditions(book, event, dues, where)
        if not is_parked(event):
            self._takes(book, event, trades, outcome, offset)

    def _amends(
        self, event: OrderAmended, trades: Sequence[ExecutedTrade], outcome: Outcome, offset: int
    ) -> None:
        order = self._orders.get(event.order_id)
        if order is None:
            # The ledger reports it.
            return
        order.valid_until = event.valid_until
        book = self._books[order.symbol]
        order.display = event.display_quantity
        if event.kept_priority:
            if event.remaining_quantity < order.shown:
                self._touch(book, order)
            book.cut(order, event.remaining_quantity)
            self._look_at_slice(order, event.displayed_quantity, event.order_id, offset)
            return
        left = order.remaining
        self._leaves(event.order_id)
        took = trades or prevented_by(event)
        if event.closed_reason == "cancelled" and event.remaining_quantity == left and not took:
            # Nothing was left to fill: the check of commands verifies that.
            return
        self._takes(book, event, trades, outcome, offset)

    def _takes(
        self,
        book: RestingBook,
        event: Taking,
        trades: Sequence[ExecutedTrade],
        outcome: Outcome,
        offset: int,
    ) -> None:
        """Apply an order that arrives at a book: its fills, and its place if it rests."""
        where = f"{self._partition}@{offset} order {event.order_id}"
        if isinstance(event, OrderAccepted):
            # Not computed from the fills, so that a wrong fill shows here too.
            left = event.quantity
        else:
            left = event.remaining_quantity + sum(fill.quantity for fill in event.fills)
        prevented = deque(prevented_by(event))
        for number, trade in enumerate(trades):
            self._prevents(book, event, prevented, number, where)
            fill = trade.fill
            self._look_at_fill(book, event, fill, left, where)
            left -= fill.quantity
            book.trades += 1
            name = trade_id(outcome.time, self._partition, offset, len(self.trades))
            if (fill.sequence, fill.trade_id) != (book.trades, name):
                self._sequences.fail(
                    f"{where}: trade {fill.trade_id} is #{fill.sequence} of {event.symbol}, "
                    f"expected {name} #{book.trades}"
                )
            self.trades.append(public_trade(trade, outcome.time, offset))
            self._take(fill, offset)
        self._prevents(book, event, prevented, len(trades), where)
        self._look_at_what_is_left(book, event, len(outcome.expired), where)
        if event.closed_reason is None and event.price is not None:
            resting = Resting(
                event.symbol, event.side, event.price, event.remaining_quantity, event.valid_until
            )
            if isinstance(event, OrderEntered | OrderAmended):
                resting.display = event.display_quantity
            # Two open orders with one id are reported by the ledger.
            self._leaves(event.order_id)
            self._orders[event.order_id] = resting
            self._touch(book, resting)
            book.add(event.order_id, resting)
            displayed = None if isinstance(event, StopElected) else displayed_by(event)
            self._look_at_slice(resting, displayed, event.order_id, offset)

    def _look_at_slice(
        self, order: Resting, displayed: int | None, order_id: str, offset: int
    ) -> None:
        """Check the visible quantity of an order against its event."""
        if order.display is None and displayed is None:
            return
        self._slices.checked += 1
        shown = None if order.display is None else order.shown
        if displayed != shown:
            self._slices.fail(
                f"{self._partition}@{offset} order {order_id} shows {displayed}, expected {shown}"
            )

    def _prevents(
        self, book: RestingBook, event: Taking, prevented: deque[Prevented], fills: int, where: str
    ) -> None:
        """Follow an order to its own orders that it came to after so many of its fills."""
        while prevented and prevented[0].after_fills == fills:
            one = prevented.popleft()
            self._prevented += 1
            self._protected.checked += 1
            first = book.first(opposite(event.side))
            broken = self._protections.broken_prevention(event, one, first)
            if broken is not None:
                self._protected.fail(f"{where}: {broken}")
            if one.quantity:
                self._leaves(one.maker_order_id)

    def _take(self, fill: Fill, offset: int) -> None:
        maker = self._orders.get(fill.maker_order_id)
        if maker is None:
            return
        book = self._books[maker.symbol]
        self._touch(book, maker)
        book.fill(fill.maker_order_id, maker, fill.quantity, fill.maker_remaining_quantity)
        if maker.remaining <= 0:
            self._leaves(fill.maker_order_id)
        else:
            displayed, order_id = fill.maker_displayed_quantity, fill.maker_order_id
            self._look_at_slice(maker, displayed, order_id, offset)

    def _look_at_fill(
        self, book: RestingBook, event: Taking, fill: Fill, left: int, where: str
    ) -> None:
        self._priority.checked += 1
        first = book.first(opposite(event.side))
        took = f"{where} took {fill.quantity} at {fill.price} of {fill.maker_order_id}"
        if first is None:
            self._priority.fail(f"{took}, the book had none")
            return
        name, order = first
        if (fill.maker_order_id, fill.price) != (name, order.price):
            self._priority.fail(f"{took}, first was {name} at {order.price}")
        elif fill.quantity != min(left, order.shown):
            self._priority.fail(f"{took}, {left} were wanted and {order.shown} there")
        if not crosses(event, fill.price):
            self._priority.fail(f"{took}, beyond its limit of {event.price}")
        self._protected.checked += 1
        obstacle = self._protections.obstacle(event, fill.maker_order_id, fill.price)
        if obstacle is not None:
            self._protected.fail(f"{took}, although {obstacle} forbids it")

    def _look_at_conditions(
        self, book: RestingBook, event: OrderEntered, dues: int, where: str
    ) -> None:
        """Check an accepted order. `dues`: at most so many steps were used up by orders that were
        due, before it came to this one."""
        self._conditions.checked += 1
        at_once = 0
        if is_killed(event):
            steps = self._rules.fills_max - len(self.trades) - self._prevented - dues
            at_once = self._protections.at_once(book, event, needed(event), steps)
        broken = broken_condition(event, at_once)
        if broken is not None:
            self._conditions.fail(f"{where}: {broken}")

    def _look_at_post_only(self, command: Command | None, offset: int) -> None:
        """Check that a refused post-only order would have traded."""
        self._conditions.checked += 1
        taker = self._as_taker(command)
        if taker is not None:
            book = self._books.get(taker.symbol) or RestingBook(taker.symbol)
            steps = self._rules.fills_max - len(self.trades) - self._prevented
            if not self._protections.at_once(book, taker, 1, steps):
                where = f"{self._partition}@{offset} order {taker.order_id}"
                self._conditions.fail(f"{where}: nothing would have traded")

    def _as_taker(self, command: Command | None) -> PlaceOrder | None:
        """The order of a command that enters or amends it; None if it is not open."""
        if isinstance(command, PlaceOrder):
            return command
        order = self._orders.get(command.order_id) if isinstance(command, AmendOrder) else None
        if order is None or not isinstance(command, AmendOrder):
            return None
        ids = (command.order_id, command.broker_id, "")
        price = command.price or order.price
        return PlaceOrder(*ids, order.symbol, order.side, "limit", order.remaining, price)

    def _look_at_what_is_left(
        self, book: RestingBook, event: Taking, expired: int, where: str
    ) -> None:
        """Check that an order gave up nothing it could have had, and rests only where it may."""
        reason = event.closed_reason
        if reason in ("filled", "expired"):
            return
        if isinstance(event, OrderAccepted) and is_killed(event):
            return
        first = book.first(opposite(event.side))
        # The bound includes orders that expired during matching.
        steps = len(self.trades) + self._prevented + expired
        passes_over = self._protections.passes_over(event.order_id)
        is_self_trade = bool(prevented_by(event)) and not passes_over
        if is_self_trade or reason == "self_trade":
            wrong = not is_self_trade or reason != "self_trade"
        elif first is not None and crosses(event, first[1].price):
            # An order that rests all the same leaves a crossed book, which another check reports.
            obstacle = self._protections.obstacle(event, first[0], first[1].price)
            is_bound = steps >= self._rules.fills_max
            wrong = reason not in (None, obstacle) and not (reason == "cancelled" and is_bound)
        elif may_not_rest(event):
            wrong = reason != "no_liquidity"
        else:
            wrong = reason is not None
        if wrong:
            there = "no order" if first is None else f"{first[0]} at {first[1].price}"
            self._priority.fail(f"{where} became {reason or 'open'}, first was {there}")

    def _look_at_sequence(
        self, step: Expired | Taking | OrderCancelled | InstrumentSet | PhaseSet, offset: int
    ) -> None:
        """Check the number of the book after this step."""
        self._sequences.checked += 1
        book = self._books.get(step.symbol)
        kept = 0 if book is None else book.sequence
        if step.book_sequence != kept:
            self._sequences.fail(
                f"{self._partition}@{offset} {step.symbol}: book #{step.book_sequence}, "
                f"expected #{kept}"
            )

    def _look_at_ends(self, book: RestingBook, offset: int) -> None:
        bid, ask = book.first("bid"), book.first("ask")
        if bid is not None and ask is not None and bid[1].price >= ask[1].price:
            self._crossed.fail(
                f"{self._partition}@{offset} {book.symbol}: bid {bid[1].price}, ask {ask[1].price}"
            )
