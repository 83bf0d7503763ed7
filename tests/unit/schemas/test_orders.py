"""An order's record computed from its events: as accepted, as filled, as closed."""

from schemas.executions import Fill, OrderAccepted
from schemas.orders import OrderRecord, OrderTrade
from schemas.units import ClosedReason
from tests.support.orders import BROKER, OTHER_BROKER, START_MS, SYMBOL, order_id

TRADE = "019f22ea-2d7b-8001-8000-000004120000"
OTHER_TRADE = "019f22ea-2d7b-8001-8000-000004120001"


def fill(price: int, quantity: int, left: int, trade: str = TRADE) -> Fill:
    return Fill(trade, 1, price, quantity, order_id(9), OTHER_BROKER, left)


def accepted(
    remaining: int, *fills: Fill, price: int | None = 1_000, reason: ClosedReason | None = None
) -> OrderAccepted:
    return OrderAccepted(
        order_id=order_id(1),
        broker_id=BROKER,
        document_number="12345678909",
        symbol=SYMBOL,
        side="bid",
        order_type="market" if price is None else "limit",
        quantity=100,
        remaining_quantity=remaining,
        book_sequence=7,
        price=price,
        valid_until=None if price is None else START_MS + 60_000,
        client_order_id="desk:1",
        closed_reason=reason,
        fills=fills,
    )


def test_record_of_a_resting_order_is_open() -> None:
    shown = OrderRecord.accepted(accepted(100), START_MS).resource()
    assert shown.order_id == shown.id == order_id(1)
    assert (shown.status, shown.closed_reason) == ("open", None)
    assert (shown.quantity, shown.remaining_quantity, shown.filled_quantity) == (100, 100, 0)
    assert (shown.average_price, shown.trades) == (None, [])
    assert (shown.symbol, shown.side, shown.order_type, shown.price) == (
        SYMBOL,
        "bid",
        "limit",
        1_000,
    )
    assert shown.client_order_id == "desk:1"
    assert shown.created_at == shown.updated_at == "2023-11-14T22:13:20.000Z"
    assert shown.valid_until == "2023-11-14T22:14:20.000Z"


def test_record_of_a_taker_has_its_trades_and_their_average_price() -> None:
    event = accepted(0, fill(990, 60, 0), fill(1_000, 40, 5, OTHER_TRADE), reason="filled")
    record = OrderRecord.accepted(event, START_MS)
    assert record.trades == [
        OrderTrade(TRADE, 990, 60, OTHER_BROKER, START_MS),
        OrderTrade(OTHER_TRADE, 1_000, 40, OTHER_BROKER, START_MS),
    ]
    shown = record.resource()
    assert (shown.status, shown.closed_reason) == ("closed", "filled")
    assert (shown.filled_quantity, shown.remaining_quantity) == (100, 0)
    assert shown.average_price == 994
    assert [(one.trade_id, one.price, one.quantity) for one in shown.trades] == [
        (TRADE, 990, 60),
        (OTHER_TRADE, 1_000, 40),
    ]
    assert {one.counterparty_broker for one in shown.trades} == {OTHER_BROKER}
    assert {one.executed_at for one in shown.trades} == {"2023-11-14T22:13:20.000Z"}


def test_record_of_a_market_order_without_liquidity_keeps_the_remaining_quantity() -> None:
    event = accepted(70, fill(990, 30, 0), price=None, reason="no_liquidity")
    shown = OrderRecord.accepted(event, START_MS).resource()
    assert (shown.price, shown.valid_until, shown.order_type) == (None, None, "market")
    assert (shown.status, shown.closed_reason) == ("closed", "no_liquidity")
    assert (shown.filled_quantity, shown.remaining_quantity) == (30, 70)


def test_record_filled_as_maker_in_part_stays_open() -> None:
    record = OrderRecord.accepted(accepted(100), START_MS)
    record.filled_as_maker(fill(1_000, 30, 70), OTHER_BROKER, START_MS + 5)
    shown = record.resource()
    assert (shown.status, shown.filled_quantity, shown.remaining_quantity) == ("open", 30, 70)
    assert shown.updated_at == "2023-11-14T22:13:20.005Z"
    assert shown.created_at == "2023-11-14T22:13:20.000Z"
    assert record.trades == [OrderTrade(TRADE, 1_000, 30, OTHER_BROKER, START_MS + 5)]


def test_record_filled_completely_as_maker_is_closed() -> None:
    record = OrderRecord.accepted(accepted(40, fill(990, 60, 0)), START_MS)
    record.filled_as_maker(fill(1_000, 10, 30), OTHER_BROKER, START_MS + 5)
    record.filled_as_maker(fill(1_000, 30, 0, OTHER_TRADE), OTHER_BROKER, START_MS + 6)
    shown = record.resource()
    assert (shown.status, shown.closed_reason) == ("closed", "filled")
    assert (shown.filled_quantity, shown.average_price, len(shown.trades)) == (100, 994, 3)


def test_record_closed_by_expiry_keeps_the_remaining_quantity() -> None:
    record = OrderRecord.accepted(accepted(100), START_MS)
    record.filled_as_maker(fill(1_000, 30, 70), OTHER_BROKER, START_MS + 5)
    record.closed("expired", START_MS + 60_000)
    shown = record.resource()
    assert (shown.status, shown.closed_reason) == ("closed", "expired")
    assert (shown.filled_quantity, shown.remaining_quantity) == (30, 70)
    assert shown.updated_at == "2023-11-14T22:14:20.000Z"
