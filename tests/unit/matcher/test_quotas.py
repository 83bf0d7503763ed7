"""Quotas in the engine: bounds of what one broker can leave, and refusal of repeated records."""

from typing import Final

from msgspec import structs

from schemas import ids
from schemas.commands import Command, PlaceOrder, SetQuotas
from schemas.executions import CommandRefused, OrderAccepted, OrderRepeated, Outcome, QuotasSet
from schemas.quotas import Quotas
from services.matcher.engine import Engine, EnginePosition
from services.matcher.rules import Rules
from tests.support.orders import BROKER, OTHER_BROKER, START_MS, cancel, limit, market

QUOTAS: Final = Quotas(open_orders_max=2, symbols_max=2, client_order_ids_max=2)
WINDOW_MS: Final = Rules().order_id_window_ms


class Partition:
    """An engine with the offset of the next command."""

    def __init__(self, quotas: Quotas | None = QUOTAS) -> None:
        self.engine = Engine(0)
        self._offset = 0
        if quotas is not None:
            self.apply(SetQuotas(quotas))

    def apply(self, command: Command, time_ms: int = START_MS) -> Outcome:
        self._offset += 1
        return self.engine.apply(command, EnginePosition(0, self._offset, time_ms))

    def refusal(self, command: Command, time_ms: int = START_MS) -> str | None:
        event = self.apply(command, time_ms).event
        return event.code if isinstance(event, CommandRefused) else None


def made_at(time_ms: int, number: int, **changes: object) -> PlaceOrder:
    return structs.replace(limit(number, **changes), order_id=ids.order_id(time_ms, 0, number))


def test_quotas_command_is_answered_and_sets_the_quotas_of_the_engine() -> None:
    partition = Partition(None)
    assert partition.engine.quotas is None
    assert partition.apply(SetQuotas(QUOTAS)).event == QuotasSet(QUOTAS)
    assert partition.engine.quotas == QUOTAS


def test_limit_order_above_the_open_orders_of_its_broker_is_refused() -> None:
    partition = Partition()
    assert [partition.refusal(limit(number)) for number in (1, 2, 3)] == [
        None,
        None,
        "too_many_open_orders",
    ]
    assert partition.refusal(limit(4, broker_id=OTHER_BROKER)) is None
    assert partition.refusal(market(5)) is None
    partition.apply(cancel(1))
    assert partition.refusal(limit(6)) is None


def test_open_orders_older_than_the_quotas_are_counted() -> None:
    partition = Partition(None)
    partition.apply(limit(1))
    partition.apply(limit(2))
    partition.apply(SetQuotas(QUOTAS))
    assert partition.refusal(limit(3)) == "too_many_open_orders"


def test_filled_and_expired_orders_free_quota() -> None:
    partition = Partition()
    partition.apply(limit(1, valid_until=START_MS + 10))
    partition.apply(limit(2, price=1_001))
    partition.apply(market(3, side="ask", broker_id=OTHER_BROKER))
    assert partition.refusal(limit(4)) is None
    assert partition.refusal(limit(5)) == "too_many_open_orders"
    assert partition.refusal(limit(6), START_MS + 10) is None


def test_order_that_would_open_one_book_too_many_is_refused() -> None:
    partition = Partition(structs.replace(QUOTAS, open_orders_max=100))
    for number, symbol in enumerate(("A", "B")):
        partition.apply(limit(number, symbol=symbol))
        partition.apply(cancel(number))
    assert partition.refusal(limit(3, symbol="C")) == "too_many_symbols"
    assert partition.refusal(market(4, symbol="C")) is None
    assert partition.refusal(limit(5, symbol="A")) is None
    assert partition.refusal(limit(6, symbol="C", broker_id=OTHER_BROKER)) is None
    assert partition.refusal(limit(7, symbol="C")) is None
    assert set(partition.engine.books) == {"A", "B", "C"}


def test_client_order_ids_of_one_broker_do_not_displace_those_of_another() -> None:
    partition = Partition(structs.replace(QUOTAS, open_orders_max=100))
    assert partition.refusal(limit(1, client_order_id="mine", broker_id=OTHER_BROKER)) is None
    assert partition.refusal(limit(2, client_order_id="a")) is None
    assert partition.refusal(limit(3, client_order_id="b")) is None
    assert partition.refusal(limit(4, client_order_id="c")) == "too_many_client_order_ids"
    assert partition.refusal(limit(5)) is None
    retry = limit(6, client_order_id="mine", broker_id=OTHER_BROKER)
    assert isinstance(partition.apply(retry).event, OrderRepeated)
    # An hour of the log's time later the ids are gone.
    later = START_MS + Rules().client_id_window_ms
    assert partition.refusal(made_at(later, 7, client_order_id="c"), later) is None


def test_repeated_record_of_a_closed_order_is_refused() -> None:
    partition = Partition()
    sell = limit(1, side="ask")
    partition.apply(sell)
    filled = partition.apply(market(2)).event
    assert isinstance(filled, OrderAccepted)
    assert filled.closed_reason == "filled"
    assert partition.refusal(sell) == "duplicate_order_id"
    assert partition.refusal(market(2)) == "duplicate_order_id"


def test_repeated_record_of_a_refused_order_is_refused_even_with_free_quota() -> None:
    partition = Partition()
    for number in (1, 2):
        partition.apply(limit(number))
    assert partition.refusal(limit(3)) == "too_many_open_orders"
    partition.apply(cancel(1))
    assert partition.refusal(limit(3)) == "duplicate_order_id"


def test_order_id_outside_the_window_is_refused_on_either_side() -> None:
    partition = Partition()
    partition.apply(market(1))
    for distance, code in (
        (WINDOW_MS, "stale_order_id"),
        (-WINDOW_MS, "stale_order_id"),
        (WINDOW_MS - 1, None),
        (1 - WINDOW_MS, None),
    ):
        order = made_at(START_MS + distance, 10, broker_id=OTHER_BROKER, order_type="market")
        assert partition.refusal(structs.replace(order, price=None)) == code, distance


def test_order_id_ahead_of_the_clock_is_remembered_until_it_is_stale() -> None:
    partition = Partition()
    ahead = structs.replace(made_at(START_MS + WINDOW_MS - 1, 1, order_type="market"), price=None)
    assert partition.refusal(ahead) is None
    for time_ms in range(START_MS, START_MS + 3 * WINDOW_MS, WINDOW_MS // 7):
        assert partition.refusal(ahead, time_ms) in {"duplicate_order_id", "stale_order_id"}
        partition.apply(structs.replace(made_at(time_ms, 2, symbol="B"), price=1), time_ms)


def test_duplicates_without_quotas_are_compared_with_open_orders_only() -> None:
    partition = Partition(None)
    for _ in range(2):
        assert isinstance(partition.apply(market(1)).event, OrderAccepted)
    partition.apply(limit(2))
    assert partition.refusal(limit(2)) == "duplicate_order_id"
    assert partition.refusal(made_at(1, 3, broker_id=BROKER)) is None
