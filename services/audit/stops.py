"""Checks the election of stop orders: by whom, in which order, and that none is forgotten.

Pure, and independent of the engine: all stops of a symbol are scanned after its trades.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from schemas.executions import (
    InstrumentSet,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    Outcome,
    PhaseSet,
    StopElected,
)
from schemas.outcome_steps import (
    ExecutedTrade,
    Step,
    Taking,
    is_parked,
    prevented_by,
    steps_of,
    trades_of,
)
from schemas.snapshots import InstrumentRow, StopRow
from schemas.units import Side
from services.audit.report import AuditReport
from services.matcher.rules import RULES, Rules


class _WaitingStop(Struct):
    """A stop order that waits. `trigger_price` None: parked, else the trade that elected it.

    `place`: the offset of the command that placed it, or moved it behind the others.
    """

    order_id: str
    symbol: str
    side: Side
    stop_price: int
    place: int
    trigger_price: int | None = None


class StopAudit:
    """The check of one partition."""

    def __init__(self, partition: int, report: AuditReport, rules: Rules = RULES) -> None:
        self._partition = partition
        self._rules = rules
        self._check = report["stops"]
        # By symbol and order id.
        self._waiting: dict[str, dict[str, _WaitingStop]] = {}
        # The elected ones by symbol, in the order in which they must take.
        self._elected: dict[str, list[_WaitingStop]] = {}
        # Reference prices of symbols with instruments, and those that are not trading.
        self._references: dict[str, int] = {}
        self._held: set[str] = set()
        # Prices by symbol since its last pass.
        self._prices: dict[str, list[int]] = {}

    def carry(self, rows: Iterable[StopRow], instruments: Iterable[InstrumentRow]) -> None:
        """Take over the stops where the audit begins."""
        for held in instruments:
            self._references[held.symbol] = held.reference_price
            if held.phase != "continuous":
                self._held.add(held.symbol)
        for place, row in enumerate(rows):
            order = row.order
            stop = _WaitingStop(
                order.order_id,
                order.symbol,
                order.side,
                order.stop_price or 0,
                place,
                row.trigger_price or None,
            )
            self._waiting.setdefault(order.symbol, {})[order.order_id] = stop
            if row.trigger_price:
                self._elected.setdefault(order.symbol, []).append(stop)

    def apply(self, outcome: Outcome, offset: int) -> None:
        """Apply the outcome of the command at `offset`."""
        is_idle = not self._waiting
        if is_idle and (outcome.before or outcome.after):
            self._check.fail(f"{self._partition}@{offset}: elected, although no stop waits")
            return
        for expired in outcome.expired:
            self._forget(expired.symbol, expired.order_id)
        for step, trades in steps_of(outcome):
            if step is outcome.event:
                # A pass of its own, if a bound has left stops that earlier trades reached.
                self._pass_all()
            self._step(step, trades, offset)
        if not is_idle:
            self._end(outcome, offset)
        self._prices = {}

    def _step(self, step: Step, trades: Sequence[ExecutedTrade], offset: int) -> None:
        if isinstance(step, StopElected):
            self._takes(step, f"{self._partition}@{offset} order {step.order_id}")
        elif isinstance(step, OrderEntered) and is_parked(step):
            self._parks(step, offset)
        elif isinstance(step, OrderCancelled):
            self._forget(step.symbol, step.order_id)
        elif isinstance(step, InstrumentSet):
            self._references[step.symbol] = step.reference_price
        elif isinstance(step, PhaseSet):
            self._phase_set(step)
        elif isinstance(step, OrderAmended) and step.stop_price is not None:
            self._amends(step, step.stop_price, offset)
        if trades and isinstance(step, Taking):
            self._references[step.symbol] = trades[-1].fill.price
            prices = self._prices.setdefault(step.symbol, [])
            prices += [trade.fill.price for trade in trades]

    def _phase_set(self, event: PhaseSet) -> None:
        if event.phase != "continuous":
            self._held.add(event.symbol)
        elif event.previous != event.phase:
            self._held.discard(event.symbol)
            self._prices.setdefault(event.symbol, []).append(self._references[event.symbol])

    def _parks(self, event: OrderEntered, offset: int) -> None:
        stop = _WaitingStop(event.order_id, event.symbol, event.side, event.stop_price or 0, offset)
        self._waiting.setdefault(event.symbol, {})[event.order_id] = stop

    def _amends(self, event: OrderAmended, stop_price: int, offset: int) -> None:
        if event.closed_reason is not None:
            self._forget(event.symbol, event.order_id)
            return
        stop = self._waiting.get(event.symbol, {}).get(event.order_id)
        if stop is None or stop.trigger_price is not None:
            where = f"{self._partition}@{offset} order {event.order_id}"
            self._check.fail(f"{where} was amended as one that waits for {stop_price}")
            return
        stop.stop_price = stop_price
        if not event.kept_priority:
            stop.place = offset

    def is_elected(self, symbol: str, order_id: str) -> bool:
        """True if the order is elected and has not taken yet."""
        return any(stop.order_id == order_id for stop in self._elected.get(symbol, ()))

    def _takes(self, step: StopElected, where: str) -> None:
        self._check.checked += 1
        if not self._elected.get(step.symbol):
            self._pass(step.symbol)
        queue = self._elected.get(step.symbol)
        if not queue:
            self._check.fail(
                f"{where} was elected at {step.trigger_price}, no trade reached a stop"
            )
        elif (queue[0].order_id, queue[0].trigger_price) != (step.order_id, step.trigger_price):
            self._check.fail(
                f"{where} was elected at {step.trigger_price}, next was {queue[0].order_id} at "
                f"{queue[0].trigger_price}"
            )
        self._forget(step.symbol, step.order_id)

    def _pass(self, symbol: str) -> None:
        """Elect all that the trades since the last pass have reached."""
        prices = self._prices.pop(symbol, [])
        if not prices:
            return
        reached: list[tuple[int, int, _WaitingStop]] = []
        for stop in self._waiting.get(symbol, {}).values():
            if stop.trigger_price is not None:
                continue
            price = max(prices) if stop.side == "bid" else min(prices)
            beyond = price - stop.stop_price if stop.side == "bid" else stop.stop_price - price
            if beyond >= 0:
                stop.trigger_price = price
                reached.append((-beyond, stop.place, stop))
        ordered = sorted(reached, key=lambda one: one[:2])
        self._elected.setdefault(symbol, []).extend(stop for _, _, stop in ordered)

    def _pass_all(self) -> None:
        for symbol in list(self._prices):
            self._pass(symbol)

    def _forget(self, symbol: str, order_id: str) -> None:
        waiting = self._waiting.get(symbol, {})
        stop = waiting.pop(order_id, None)
        if stop is None:
            return
        if stop.trigger_price is not None:
            self._elected[symbol].remove(stop)
        if not waiting:
            del self._waiting[symbol]

    def _end(self, outcome: Outcome, offset: int) -> None:
        """Elected stops may only wait for the next command where a bound was reached."""
        self._pass_all()
        waiting = sum(len(self._elected[name]) for name in self._elected.keys() - self._held)
        if not waiting:
            return
        self._check.checked += 1
        elections = len(outcome.before) + len(outcome.after)
        steps = len(trades_of(outcome)) + len(outcome.expired)
        steps += sum(len(prevented_by(step)) for step, _ in steps_of(outcome))
        if elections < self._rules.elections_max and steps < self._rules.fills_max:
            self._check.fail(
                f"{self._partition}@{offset}: {waiting} stops were reached and not elected"
            )
