"""The state of an order, computed from its events alike in ingest, reader and sink.

Pure and mutable: `accepted` creates the record; `filled_as_maker`, `amended` and `closed` update
it.
"""

from msgspec import Struct

from schemas.conditions import default_time_in_force, kind_of
from schemas.executions import Fill, OrderAccepted, OrderAmended, OrderEntered, StopElected
from schemas.queries import OrderSummary
from schemas.rest import OrderResource, TradeResource
from schemas.units import (
    ClosedReason,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    rfc3339,
    rounded_average,
)

# In the order itself. Other brokers decide on the number of fills, and an answer must be bounded.
TRADES_SHOWN_MAX = 100


class OrderTrade(Struct, frozen=True, gc=False):
    """One execution from the view of the order; `time` in milliseconds."""

    trade_id: str
    price: int
    quantity: int
    counterparty_broker_id: str
    time: int

    def resource(self) -> TradeResource:
        """The trade as the API returns it."""
        return TradeResource(
            trade_id=self.trade_id,
            price=self.price,
            quantity=self.quantity,
            counterparty_broker=self.counterparty_broker_id,
            executed_at=rfc3339(self.time),
        )


class OrderRecord(Struct, gc=False):
    """The state of one order. `filled_value` is the sum of price times quantity, in cents.

    `time_in_force` None is the default of the order type. `triggered_at`: when a trade elected the
    order with a stop price. Of an iceberg order, `display_quantity` is the size of its next slice
    (0: all) and `displayed_quantity` its visible quantity while it rests. `trades` are the newest
    of `trades_count`, in order of execution; the older ones are not in memory.
    """

    order_id: str
    broker_id: str
    document_number: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    remaining_quantity: int
    filled_value: int
    created_at: int
    updated_at: int
    price: int | None
    valid_until: int | None
    client_order_id: str | None
    closed_reason: ClosedReason | None
    time_in_force: TimeInForce | None
    post_only: bool
    minimum_quantity: int | None
    stop_price: int | None
    triggered_at: int | None
    display_quantity: int | None
    displayed_quantity: int | None
    self_trade_prevention: SelfTradePrevention | None
    trades_count: int
    trades: list[OrderTrade]

    @classmethod
    def accepted(cls, event: OrderAccepted, time: int) -> "OrderRecord":
        """The state of the order after its own command."""
        # By position: by keyword it would take twice as long, and every order is made twice.
        record = cls(
            event.order_id,
            event.broker_id,
            event.document_number,
            event.symbol,
            event.side,
            event.order_type,
            event.quantity,
            event.remaining_quantity,
            0,  # filled_value
            time,  # created_at
            time,  # updated_at
            event.price,
            event.valid_until,
            event.client_order_id,
            event.closed_reason,
            None,  # time_in_force
            False,  # post_only
            None,  # minimum_quantity
            None,  # stop_price
            None,  # triggered_at
            None,  # display_quantity
            None,  # displayed_quantity
            None,  # self_trade_prevention
            0,  # trades_count
            [],
        )
        if type(event) is OrderEntered:
            record.time_in_force = event.time_in_force
            record.post_only = event.post_only
            record.minimum_quantity = event.minimum_quantity
            record.stop_price = event.stop_price
            record.display_quantity = event.display_quantity
            record.displayed_quantity = event.displayed_quantity
            record.self_trade_prevention = event.self_trade_prevention
        for fill in event.fills:
            record._trade(fill, fill.maker_broker_id, time)
        return record

    @property
    def older_trades(self) -> int:
        """The number of trades that are not in memory."""
        return self.trades_count - len(self.trades)

    @property
    def is_outside_book(self) -> bool:
        """True for a stop order that no trade has elected."""
        return self.stop_price is not None and self.triggered_at is None

    @property
    def shown_quantity(self) -> int:
        """The part of the order that the book shows while it rests."""
        displayed = self.displayed_quantity
        return self.remaining_quantity if displayed is None else displayed

    def elected(self, step: StopElected, time: int) -> None:
        """Apply the election of the parked order: it takes, and rests or closes."""
        self.triggered_at = self.updated_at = time
        self.remaining_quantity = step.remaining_quantity
        self.closed_reason = step.closed_reason
        for fill in step.fills:
            self._trade(fill, fill.maker_broker_id, time)

    def filled_as_maker(self, fill: Fill, aggressor_broker_id: str, time: int) -> None:
        """Apply a fill of the resting order."""
        self._trade(fill, aggressor_broker_id, time)
        self.remaining_quantity = fill.maker_remaining_quantity
        self.displayed_quantity = fill.maker_displayed_quantity
        self.updated_at = time
        if fill.maker_remaining_quantity == 0:
            self.closed_reason = "filled"

    def amended(self, event: OrderAmended, time: int) -> None:
        """Apply an amendment of the open order, with its fills as a taker."""
        if event.quantity is not None:
            self.quantity = event.quantity
        self.price = event.price
        self.stop_price = event.stop_price or self.stop_price
        self.valid_until = event.valid_until
        self.remaining_quantity = event.remaining_quantity
        self.display_quantity = event.display_quantity
        self.displayed_quantity = event.displayed_quantity
        self.closed_reason = event.closed_reason
        self.updated_at = time
        for fill in event.fills:
            self._trade(fill, fill.maker_broker_id, time)

    def forget_trades(self, trade_id: str) -> None:
        """Leave out trades up to this one, which PostgreSQL has, but keep those that are shown."""
        while len(self.trades) > TRADES_SHOWN_MAX and self.trades[0].trade_id <= trade_id:
            self.trades.pop(0)

    def closed(self, reason: ClosedReason, time: int) -> None:
        """Close the order; its remaining quantity is not filled."""
        self.closed_reason = reason
        self.displayed_quantity = None
        self.updated_at = time

    def _trade(self, fill: Fill, counterparty: str, time: int) -> None:
        self.filled_value += fill.price * fill.quantity
        self.trades_count += 1
        self.trades.append(OrderTrade(fill.trade_id, fill.price, fill.quantity, counterparty, time))

    def resource(self) -> OrderResource:
        """The order as the API returns it to its owner."""
        filled = self.quantity - self.remaining_quantity
        # By position, as in `accepted`.
        return OrderResource(
            self.order_id,
            self.order_id,
            self.client_order_id,
            self.symbol,
            self.side,
            kind_of(self.order_type, self.stop_price),
            self.price,
            self.quantity,
            self.remaining_quantity,
            filled,
            rounded_average(self.filled_value, filled) if filled else None,
            "open" if self.closed_reason is None else "closed",
            self.closed_reason,
            None if self.valid_until is None else rfc3339(self.valid_until),
            rfc3339(self.created_at),
            rfc3339(self.updated_at),
            [trade.resource() for trade in self.trades[-TRADES_SHOWN_MAX:]],
            self.trades_count,
            self.time_in_force or default_time_in_force(self.order_type, self.stop_price),
            self.post_only,
            self.minimum_quantity,
            self.stop_price,
            None if self.triggered_at is None else rfc3339(self.triggered_at),
            self.display_quantity,
            self.displayed_quantity,
            self.self_trade_prevention or "none",
        )

    def summary(self) -> OrderSummary:
        """The order as lists return it."""
        filled = self.quantity - self.remaining_quantity
        return OrderSummary(
            order_id=self.order_id,
            id=self.order_id,
            client_order_id=self.client_order_id,
            symbol=self.symbol,
            side=self.side,
            order_type=kind_of(self.order_type, self.stop_price),
            price=self.price,
            quantity=self.quantity,
            remaining_quantity=self.remaining_quantity,
            filled_quantity=filled,
            average_price=rounded_average(self.filled_value, filled) if filled else None,
            status="open" if self.closed_reason is None else "closed",
            closed_reason=self.closed_reason,
            valid_until=None if self.valid_until is None else rfc3339(self.valid_until),
            created_at=rfc3339(self.created_at),
            updated_at=rfc3339(self.updated_at),
            time_in_force=self.time_in_force
            or default_time_in_force(self.order_type, self.stop_price),
            post_only=self.post_only,
            minimum_quantity=self.minimum_quantity,
            stop_price=self.stop_price,
            triggered_at=None if self.triggered_at is None else rfc3339(self.triggered_at),
            display_quantity=self.display_quantity,
            displayed_quantity=self.displayed_quantity,
            self_trade_prevention=self.self_trade_prevention or "none",
            trades_count=self.trades_count,
        )
