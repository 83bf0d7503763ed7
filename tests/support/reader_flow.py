"""A long, seeded, consistent sequence of outcomes: orders rest, fill in parts, are cancelled."""

import random

from msgspec.structs import replace

from schemas import ids
from schemas.executions import Fill, OrderAccepted, OrderCancelled, Outcome
from services.runtime.kafka.execution_filter import Batch
from tests.support.reader_outcomes import ALICE, BOB, T0, limit


class Flow:
    """Resting asks of Alice, market bids of Bob, and cancels. One symbol for each partition."""

    def __init__(self, partition: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._partition = partition
        self._symbol = f"S{partition}"
        self._resting: list[OrderAccepted] = []
        self._command = 0
        self._sequence = 0

    def batch(self, count: int) -> Batch:
        """The next `count` outcomes."""
        first = self._command
        return Batch(self._partition, first, tuple(self._next() for _ in range(count)))

    def _next(self) -> Outcome:
        choice = self._random.random()
        self._command += 1
        if self._resting and choice < 0.3:
            event: OrderAccepted | OrderCancelled = self._take()
        elif self._resting and choice < 0.5:
            gone = self._resting.pop(self._random.randrange(len(self._resting)))
            event = OrderCancelled(
                gone.order_id, ALICE, self._symbol, gone.remaining_quantity, self._command
            )
        else:
            event = self._limit("ask", self._random.randrange(1, 100), 1000)
            self._resting.append(event)
        return Outcome(T0 + self._command, event)

    def _limit(self, side: str, quantity: int, price: int | None, **more: object) -> OrderAccepted:
        return limit(
            self._command,
            ALICE if side == "ask" else BOB,
            "ask" if side == "ask" else "bid",
            quantity,
            price,
            order_id=ids.order_id(T0, self._partition, self._command),
            symbol=self._symbol,
            book=self._command,
            **more,
        )

    def _take(self) -> OrderAccepted:
        at = self._random.randrange(len(self._resting))
        maker = self._resting[at]
        quantity = self._random.randrange(1, maker.remaining_quantity + 1)
        left = maker.remaining_quantity - quantity
        self._sequence += 1
        fill = Fill(
            trade_id=ids.trade_id(T0, self._partition, self._command, 0),
            sequence=self._sequence,
            price=1000,
            quantity=quantity,
            maker_order_id=maker.order_id,
            maker_broker_id=ALICE,
            maker_remaining_quantity=left,
        )
        if left:
            self._resting[at] = replace(maker, remaining_quantity=left)
        else:
            self._resting.pop(at)
        return self._limit("bid", quantity, None, left=0, closed="filled", fills=(fill,))
