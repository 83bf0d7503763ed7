"""The audit's judgement of recorded outcomes, without an engine; one fault in each history."""

import random

import pytest
from msgspec import Struct, structs

from schemas.commands import AmendOrder, CancelAll, CancelOrder, Command, PlaceOrder, Tick
from schemas.executions import (
    CancelledOrder,
    CommandRefused,
    Event,
    Expired,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    OrdersCancelled,
    Outcome,
    Ticked,
)
from schemas.ids import trade_id
from schemas.units import Side
from services.audit.books import SIDES, OutcomeBooks
from services.audit.carried import carried_orders
from services.audit.client_answers import Answers
from services.audit.instruments import InstrumentAudit
from services.audit.ledger import Ledger, Totals
from services.audit.protections import Protections
from services.audit.report import AuditReport, Name
from services.audit.stops import StopAudit
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState
from tests.properties.flows import flow, random_rules, random_shape
from tests.support.orders import BROKER, OTHER_BROKER, SYMBOL, cancel, limit, market, order_id

T = 1_000
# The partition encoded in the ids of a flow.
FLOW_PARTITION = 3
Recorded = tuple[Command | None, Outcome]


class Judged(Struct):
    """The report on a history, and the order books built from it."""

    report: AuditReport
    books: OutcomeBooks

    @property
    def failing(self) -> set[Name]:
        """Names of the invariants that do not hold."""
        return {found.name for found in self.report.invariants() if found.differences}


class Judge:
    """All checks of single outcomes, in the order of the audit."""

    def __init__(self, rules: Rules = RULES, partition: int = 0) -> None:
        self.report, self.totals = AuditReport(), Totals()
        self._ledger = Ledger(partition, self.totals, self.report)
        self._instruments = InstrumentAudit(partition, self.report)
        protections = Protections(self._ledger.open, self._instruments)
        self.books = OutcomeBooks(partition, self.report, protections, rules)
        self._stops = StopAudit(partition, self.report, rules)
        self._answers = Answers(self._ledger.open, self._stops, self.report, rules)

    def carry(self, state: EngineState) -> None:
        """Begin behind the commands that led to this state, as the audit of a partition does."""
        self._answers.clock = state.clock
        self.books.carry(state)
        self._instruments.carry(state.instruments)
        self._stops.carry(state.stops, state.instruments)
        for event, order in carried_orders(state):
            self._ledger.carry(event, order.accepted_at, state.clock)

    def look(self, command: Command | None, outcome: Outcome, at: EnginePosition) -> None:
        self._answers.look(command, outcome, at)
        self.books.apply(outcome, at.offset, command)
        self._instruments.apply(command, outcome, at.offset)
        self._stops.apply(outcome, at.offset)
        self._ledger.apply(outcome, at.offset)

    def finish(self) -> Judged:
        self._ledger.finish()
        self.totals.check(self.report)
        return Judged(self.report, self.books)


def judged(*recorded: Recorded, rules: Rules = RULES) -> Judged:
    judge = Judge(rules)
    for offset, (command, outcome) in enumerate(recorded):
        judge.look(command, outcome, EnginePosition(0, offset, T))
    return judge.finish()


def failing(*recorded: Recorded, rules: Rules = RULES) -> set[Name]:
    return judged(*recorded, rules=rules).failing


@pytest.mark.parametrize("seed", range(60))
def test_random_flow_through_the_engine_passes_and_its_public_records_are_predicted(
    seed: int,
) -> None:
    rng = random.Random(f"judged {seed}")
    shape, rules = random_shape(rng), random_rules(rng)
    engine, judge = Engine(FLOW_PARTITION, rules), Judge(rules, FLOW_PARTITION)
    entered: dict[str, OrderAccepted] = {}
    for step in flow(rng, shape, 400):
        command = step.command
        # Ingest never issues an id twice, but the flow does.
        placed = command.order_id if isinstance(command, PlaceOrder) else ""
        if placed in entered.keys() - engine.open_orders.keys():
            continue
        if isinstance(command, AmendOrder) and command.order_id in entered:
            command = as_ingest_writes(command, entered[command.order_id])
        at = EnginePosition(FLOW_PARTITION, step.offset, step.timestamp)
        outcome = engine.apply(command, at)
        judge.look(command, outcome, at)
        if isinstance(outcome.event, OrderAccepted):
            entered[placed] = outcome.event
        assert judge.books.trades == trades_of(outcome, at), f"seed {seed}, {step}"
        assert judge.books.updates == book_updates(outcome, at, engine), f"seed {seed}, {step}"
    found = judge.finish()
    assert found.failing == set(), f"seed {seed}\n" + "\n".join(found.report.lines())
    for symbol, book in engine.books.items():
        assert found.books.sequences()[symbol] == book.sequence
        for side in SIDES:
            assert found.books.levels(symbol, side) == book.levels(side)


def as_ingest_writes(command: AmendOrder, order: OrderAccepted) -> AmendOrder:
    """The amendment with what ingest takes from the order that it looked up."""
    return structs.replace(
        command,
        of_quantity=None if command.quantity is None else order.quantity,
        post_only=isinstance(order, OrderEntered) and order.post_only,
    )


def accepted(command: PlaceOrder, remaining: int, sequence: int, **changes: object) -> Recorded:
    event = OrderAccepted(
        command.order_id,
        command.broker_id,
        command.document_number,
        command.symbol,
        command.side,
        command.order_type,
        command.quantity,
        remaining,
        sequence,
        command.price,
        command.valid_until,
        command.client_order_id,
    )
    return command, Outcome(T, structs.replace(event, **changes))


def fill(maker: int, index: int, price: int, quantity: int, left: int) -> Fill:
    """A fill of the test's nth order by the command at offset 3."""
    name = trade_id(T, 0, 3, index)
    return Fill(name, index + 1, price, quantity, order_id(maker), BROKER, left)


# Orders of one broker: two asks of 100 at price 10, then one at 11.
SELLERS = [
    accepted(limit(number, side="ask", price=price), 100, number)
    for number, price in ((1, 10), (2, 10), (3, 11))
]
BUYER = limit(9, price=11)
QUIET: list[Recorded] = [(Tick(), Outcome(T, Ticked()))] * 3


def bought(command: PlaceOrder, *fills: Fill, **changes: object) -> Recorded:
    left = command.quantity - sum(each.quantity for each in fills)
    fields = {"fills": fills, "closed_reason": "filled" if not left else None} | changes
    moved = bool(fills) or fields["closed_reason"] is None
    return accepted(command, left, 4 if moved else 3, **fields)


def test_trade_at_the_best_price_with_the_oldest_order_passes() -> None:
    found = judged(*SELLERS, bought(BUYER, fill(1, 0, 10, 100, 0)))
    assert found.failing == set()
    assert found.report["priority"].checked == 1


def test_trade_with_a_younger_order_is_reported() -> None:
    assert failing(*SELLERS, bought(BUYER, fill(2, 0, 10, 100, 0))) == {"priority"}


def test_trade_at_a_worse_price_is_reported() -> None:
    assert failing(*SELLERS, bought(BUYER, fill(3, 0, 11, 100, 0))) == {"priority"}


def test_trade_that_skips_the_remainder_of_an_order_is_reported() -> None:
    fills = fill(1, 0, 10, 60, 40), fill(2, 1, 10, 40, 60)
    assert failing(*SELLERS, bought(BUYER, *fills)) == {"priority"}


def test_trade_split_into_two_fills_of_one_order_is_reported() -> None:
    fills = fill(1, 0, 10, 60, 40), fill(1, 1, 10, 40, 0)
    assert failing(*SELLERS, bought(BUYER, *fills)) == {"priority"}


def test_trade_with_an_empty_book_is_reported() -> None:
    taker = bought(BUYER, fill(1, 0, 10, 100, 0))
    assert "priority" in failing(*QUIET, taker)


def test_trade_beyond_the_limit_price_is_reported() -> None:
    low = structs.replace(BUYER, price=9)
    assert failing(*SELLERS, bought(low, fill(1, 0, 10, 100, 0))) == {"priority"}
    high = limit(9, side="ask", price=12)
    buyer = accepted(limit(1, price=11), 100, 1)
    sold = accepted(high, 0, 2, fills=(fill(1, 0, 11, 100, 0),), closed_reason="filled")
    assert failing(buyer, *QUIET[:2], sold) == {"priority"}


def test_order_that_rests_though_it_could_trade_leaves_a_crossed_book() -> None:
    assert failing(*SELLERS, bought(BUYER)) == {"crossed"}
    below = structs.replace(BUYER, price=9)
    assert failing(*SELLERS, bought(below)) == set()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (BUYER, "cancelled"),
        (BUYER, "no_liquidity"),
        (market(9), "no_liquidity"),
        (market(9), "cancelled"),
        (structs.replace(BUYER, price=9), "cancelled"),
        (structs.replace(BUYER, price=9), "no_liquidity"),
    ],
)
def test_order_closed_although_it_could_continue_is_reported(
    command: PlaceOrder, reason: str
) -> None:
    assert failing(*SELLERS, bought(command, closed_reason=reason)) == {"priority"}


@pytest.mark.parametrize("reason", ["cancelled", None])
def test_market_order_without_liquidity_has_one_closed_reason(reason: str | None) -> None:
    taker = accepted(market(1), 100, 0, closed_reason=reason)
    assert failing(taker) == {"priority"}


def test_order_closed_at_a_cap_passes() -> None:
    one = structs.replace(BUYER, quantity=150), fill(1, 0, 10, 100, 0)
    assert failing(*SELLERS, bought(*one, closed_reason="cancelled")) == {"priority"}
    bound = Rules(fills_max=1)
    assert failing(*SELLERS, bought(*one, closed_reason="cancelled"), rules=bound) == set()
    assert failing(accepted(market(1), 100, 0, closed_reason="no_liquidity")) == set()


def test_trade_with_a_wrong_sequence_or_id_is_reported() -> None:
    right = fill(1, 0, 10, 100, 0)
    assert failing(*SELLERS, bought(BUYER, structs.replace(right, sequence=2))) == {"sequences"}
    other = structs.replace(right, trade_id=trade_id(T, 0, 4, 0))
    assert failing(*SELLERS, bought(BUYER, other)) == {"sequences"}


def test_book_change_with_a_wrong_sequence_is_reported() -> None:
    skipped = accepted(limit(4, side="ask", price=12), 100, 5)
    assert failing(*SELLERS, skipped) == {"sequences"}


def cancelled(number: int, left: int, broker: str = BROKER) -> Event:
    return OrderCancelled(order_id(number), broker, SYMBOL, left, 4)


def refused(code: str, number: int, broker: str = BROKER) -> Event:
    return structs.replace(CommandRefused("not_owner", order_id(number), broker), code=code)


@pytest.mark.parametrize(
    ("command", "event", "noticed"),
    [
        (cancel(2), cancelled(2, 100), set()),
        (cancel(2, OTHER_BROKER), refused("not_owner", 2, OTHER_BROKER), set()),
        (cancel(7), refused("order_not_open", 7), set()),
        # Granted although the order belongs to another broker.
        (cancel(2, OTHER_BROKER), cancelled(2, 100), {"owner"}),
        (cancel(2, OTHER_BROKER), refused("order_not_open", 2, OTHER_BROKER), {"owner"}),
        (cancel(2), refused("not_owner", 2), {"owner"}),
        (cancel(2), refused("order_not_open", 2), {"owner"}),
        (cancel(7), refused("not_owner", 7), {"owner"}),
    ],
)
def test_cancel_outcome_that_contradicts_ownership_is_reported(
    command: CancelOrder, event: Event, noticed: set[Name]
) -> None:
    assert failing(*SELLERS, (command, Outcome(T, event))) == noticed


def test_cancel_of_an_order_that_has_just_expired_comes_too_late() -> None:
    short = accepted(limit(1, valid_until=T + 1), 100, 1)
    judge = Judge()
    judge.look(*short, EnginePosition(0, 0, T))
    expired = (Expired(order_id(1), BROKER, SYMBOL, 100, 2),)
    recorded = Outcome(T + 1, refused("order_not_open", 1), expired)
    judge.look(cancel(1), recorded, EnginePosition(0, 1, T + 1))
    assert judge.finish().failing == set()


def test_repeated_order_answered_with_another_brokers_order_is_reported() -> None:
    again = limit(9, broker_id=OTHER_BROKER, client_order_id="c")
    event = OrderRepeated(again.order_id, OTHER_BROKER, order_id(2))
    assert failing(*SELLERS, (again, Outcome(T, event))) == {"owner"}
    reused = structs.replace(refused("client_order_id_reused", 9, OTHER_BROKER))
    named = structs.replace(reused, original_order_id=order_id(2))
    assert failing(*SELLERS, (again, Outcome(T, named))) == {"owner"}
    own = structs.replace(event, broker_id=BROKER)
    mine = structs.replace(again, broker_id=BROKER)
    assert failing(*SELLERS, (mine, Outcome(T, own))) == set()


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (None, Ticked()),
        (None, CommandRefused("malformed_command", order_id(1))),
        (Tick(), CommandRefused("malformed_command")),
        (limit(9), Ticked()),
        (limit(9), refused("order_not_open", 9)),
        (limit(9), refused("duplicate_order_id", 8)),
        (limit(9), refused("duplicate_order_id", 9, OTHER_BROKER)),
        (limit(9), OrderRepeated(order_id(8), BROKER, order_id(1))),
        (limit(9), OrderRepeated(order_id(9), OTHER_BROKER, order_id(7))),
        (limit(9), accepted(limit(9, document_number="2"), 100, 4)[1].event),
        (limit(9), accepted(limit(9, client_order_id="c"), 100, 4)[1].event),
    ],
)
def test_outcome_of_another_command_is_reported(command: Command | None, event: Event) -> None:
    assert failing(*SELLERS[:0], (command, Outcome(T, event))) >= {"answers"}


def test_outcomes_of_other_kinds_pass() -> None:
    quiet: list[Recorded] = [
        (None, Outcome(T, CommandRefused("malformed_command"))),
        (Tick(), Outcome(T, Ticked())),
        (limit(1), Outcome(T, refused("duplicate_order_id", 1))),
    ]
    assert failing(*SELLERS, *quiet) == set()


def test_outcome_with_another_time_is_reported() -> None:
    assert failing((Tick(), Outcome(T + 1, Ticked()))) == {"answers"}
    judge = Judge()
    judge.look(Tick(), Outcome(T, Ticked()), EnginePosition(0, 0, T))
    judge.look(Tick(), Outcome(T, Ticked()), EnginePosition(0, 1, T - 5))
    assert judge.finish().failing == set()


def test_cancel_answered_with_another_order_is_reported() -> None:
    assert failing(*SELLERS, (cancel(1), Outcome(T, cancelled(2, 100)))) == {"answers"}


def test_trade_with_a_closed_order_is_reported_by_the_ledger_alone() -> None:
    first = bought(BUYER, fill(1, 0, 10, 100, 0))
    gone = fill(1, 0, 10, 100, 0)
    assert "final_state" in failing(*SELLERS[:1], first, bought(limit(8, price=11), gone))


def cancelled_all(*numbers: int, side: Side | None = None, **changes: object) -> Recorded:
    """A cancel of all orders of the sellers' broker, and its outcome."""
    orders = tuple(CancelledOrder(order_id(number), SYMBOL, 100, 4) for number in numbers)
    event = OrdersCancelled(BROKER, "0" * 16, orders)
    command = CancelAll(BROKER, "0" * 16, side=side)
    return command, Outcome(T, structs.replace(event, **changes))


def test_cancel_of_all_orders_oldest_first_passes() -> None:
    assert failing(*SELLERS, cancelled_all(1, 2, 3)) == set()
    assert failing(*SELLERS, cancelled_all(1, 2, more=True), rules=Rules(cancels_max=2)) == set()
    assert failing(*SELLERS, cancelled_all(side="bid")) == set()
    assert failing(*SELLERS, (cancelled_all()[0], Outcome(T, Ticked()))) == {"answers"}


@pytest.mark.parametrize(
    "recorded",
    [
        cancelled_all(2, 1, 3),
        cancelled_all(1, 2),
        cancelled_all(1, 2, 3, more=True),
        cancelled_all(1, side="bid"),
        cancelled_all(1, 2, 3, request="1" * 16),
    ],
    ids=["other order", "too few", "no more", "other side", "other request"],
)
def test_cancel_of_other_orders_than_the_command_names_is_reported(recorded: Recorded) -> None:
    assert failing(*SELLERS, recorded) == {"owner"}
