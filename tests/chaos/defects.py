"""Seeded defects of the services, each switched on alone.

Each must be found by the checks named in it: audit invariants by their names; lost, duplicated,
contradiction, views and webhooks as in a chaos report; ended: the service ends with an error.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Final, Literal

import psycopg
from msgspec import Struct, structs
from psycopg import Connection

from schemas import ids
from schemas.commands import PlaceOrder
from schemas.executions import OrderAccepted, Outcome, Outcomes
from schemas.own_events import own_events_of
from schemas.rest import OrderRequest
from schemas.units import rfc3339
from services.api.app import ProblemError, Response, not_accepted
from services.api.messages import order_not_found
from services.api.partition_map import PartitionMap
from services.ingest import app_place, order_ids
from services.ingest.admission import admit
from services.ingest.app_cancel import CancelOrderHandler
from services.ingest.app_place import PlaceOrderHandler
from services.ingest.context import IngestContext
from services.reader.app import Reader
from services.reader.balances import Balances
from services.reader.books import BookView
from services.reader.prices import Prices
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch, ExecutionFilter, FilterPosition
from services.runtime.kafka.producer import Sender
from services.sink import copy_format as lines
from services.sink import rows, store
from services.sink.rows import NewTrade, Rows
from services.sink.store import Move, Store
from services.webhooks import receiver_run, schedule, signature
from services.webhooks import store as outbox
from services.webhooks.outbox import WebhookDelivery
from services.webhooks.schedule import AttemptVerdict, Result
from tests.support.patching import Replacement

Check = Literal[
    "acknowledged",
    "refused",
    "partition",
    "stored",
    "stored_orders",
    "stored_trades",
    "stored_sums",
    "stored_candles",
    "stored_events",
    "stored_webhooks",
    "lost",
    "duplicated",
    "contradiction",
    "views",
    "webhooks",
    "ended",
]


class Defect(Struct, frozen=True):
    """Functions to replace. Every one of the checks `found_by` must find the defect.

    `cancels`: False if the clients must not cancel, because no cancel would be answered in time.
    `sinks`: number of sinks that run at the same time.
    """

    replacements: tuple[Replacement, ...]
    found_by: frozenset[Check]
    cancels: bool = True
    sinks: int = 1


def _defect(found_by: str, *replacements: Replacement) -> Defect:
    checks: Any = frozenset(found_by.split())
    return Defect(replacements, checks)


_best = BookView.best
_claimed = outbox._delivery
_command = app_place.command_of
_delivery_lines = lines.delivery_lines
_judge = ExecutionFilter._judge
_judge_answer = schedule.judge
_left = Rows._left
_order = Reader.order
_place_answer = PlaceOrderHandler.answer_at_once
_positions = Store.positions
_price_traded = Prices.traded
_restore_balance = Views.restore_balance
_signed = signature.signed_headers
_store_sum = Store._sum
_sum = Rows._sum
_traded = Balances.traded
_trade_line = lines.trade_line
_view = Reader.apply
_view_left = Views._left


def close_without_flush(self: Sender) -> int:
    """Drop the records that are not sent yet, as a kill does; replaces `Sender.close`."""
    self._stopping.set()
    self._thread.join()
    self._producer.purge()
    return 0


async def _assume_stored(*_: object) -> None:
    """Return without waiting for the delivery report."""


def _refusing(problem: Callable[[], ProblemError]) -> Callable[..., Any]:
    def wrong(self: PlaceOrderHandler, outcome: Outcome, *arguments: Any) -> Response | None:
        if isinstance(outcome.event, OrderAccepted) and outcome.event.fills:
            raise problem()
        return _place_answer(self, outcome, *arguments)

    return wrong


def _in_turn() -> Callable[..., int]:
    numbers = itertools.count()
    return lambda self, symbol: next(numbers) % self.partitions


def _of_the_former_broker() -> Callable[..., PlaceOrder]:
    brokers: list[str] = []

    def wrong(order: Any, order_id: str, broker_id: str) -> PlaceOrder:
        brokers.append(broker_id)
        return _command(order, order_id, brokers[-2:][0])

    return wrong


def _admit_in_time_only(body: bytes, now_ms: int) -> OrderRequest:
    return admit(body, now_ms, retry_ms_max=0)


def _grant(*arguments: Any) -> None:
    arguments[-1](Response(204))


def _not_found(*_: object) -> None:
    raise order_not_found()


def _other_partition(time_ms: int, partition: int, random_bits: int) -> str:
    return ids.order_id(time_ms, 1 - partition, random_bits)


def _forget_cancels(self: Rows, event: Any, reason: Any, *arguments: Any) -> None:
    if reason != "cancelled":
        _left(self, event, reason, *arguments)


def _other_side(taker: Any) -> Any:
    return structs.replace(taker, side="ask" if taker.side == "bid" else "bid")


def _trade_line_swapped(trade: NewTrade) -> str:
    return _trade_line(structs.replace(trade, taker=_other_side(trade.taker)))


def _to_takers_only(trades: Iterable[NewTrade], with_webhook: set[str]) -> Iterator[str]:
    for trade in trades:
        yield from _delivery_lines([trade], with_webhook & {trade.taker.broker_id})


def _left_before_the_trade(trades: Iterable[NewTrade], with_webhook: set[str]) -> Iterator[str]:
    for trade in trades:
        before = trade.taker_remaining + trade.fill.quantity
        yield from _delivery_lines([structs.replace(trade, taker_remaining=before)], with_webhook)


def _move_from_anywhere(connection: Connection, partition: int, move: Move, clock: int) -> None:
    to = move.target
    connection.execute(
        "UPDATE log_positions SET next_command = %s, next_record = %s, epoch = %s, clock = %s"
        " WHERE partition = %s",
        [to.next_command, to.next_record, to.epoch, rfc3339(clock), partition],
    )


def _no_fence(self: Store, partition: int, move: Move, clock: int) -> None:
    _move_from_anywhere(self._connection, partition, move, clock)


def _position_first(self: Store, partition: int, move: Move, clock: int) -> None:
    info = self._connection.info
    with psycopg.connect(info.dsn, password=info.password, autocommit=True) as other:
        _move_from_anywhere(other, partition, move, clock)


def start_at_the_same_position() -> Replacement:
    """Two sinks that start together. Not a defect: one of them must end by its fence."""
    start = threading.Barrier(2, timeout=10.0)
    started: Counter[str] = Counter()

    def positions(self: Store, partitions: int) -> dict[int, FilterPosition]:
        found = _positions(self, partitions)
        database = self._connection.info.dbname
        if started[database] < start.parties:
            started[database] += 1
            start.wait()
        return found

    return (Store, "positions", positions)


def lose_connection() -> Replacement:
    """A lost connection in a database's first transaction. Not a defect: a sink must recover."""
    lost: set[str] = set()

    def sum_(self: Store, rows: Rows) -> None:
        _store_sum(self, rows)
        database = self._connection.info.dbname
        if database not in lost:
            lost.add(database)
            raise psycopg.OperationalError("the connection is lost")

    return (Store, "_sum", sum_)


def _any_epoch(self: ExecutionFilter, number: int, record: int, value: Outcomes) -> Batch | None:
    at = self.position(number)
    return _judge(self, number, record, structs.replace(value, epoch=at.epoch))


def _drop_a_batch() -> Callable[..., None]:
    numbers = itertools.count(1)

    def wrong(self: Reader, batch: Batch) -> None:
        if next(numbers) % 20:
            _view(self, batch)

    return wrong


def _keep_cancelled(self: Views, event: Any, reason: Any, *arguments: Any) -> None:
    if reason != "cancelled":
        _view_left(self, event, reason, *arguments)


def _swap(self: Balances, symbol: str, buyer: str, seller: str, **what: int) -> None:
    _traded(self, symbol, seller, buyer, **what)


def _restore_twice(self: Views, *balance: Any) -> None:
    _restore_balance(self, *balance)
    _restore_balance(self, *balance)


async def _order_of_any_broker(self: Reader, order_id: str, _: str) -> Any:
    record = await self._find(order_id)
    return None if record is None else record.resource()


def _worst_first(self: BookView, side: Any, depth: int) -> Any:
    return _best(self, side, depth)[::-1]


def _first_price_stays(self: Prices, symbol: str, price: int, sequence: int) -> None:
    first = self._prices.get(symbol)
    _price_traded(self, symbol, first[0] if first else price, sequence)


def _refused_is(result: Result) -> Callable[..., AttemptVerdict]:
    def wrong(*arguments: Any, **more: Any) -> AttemptVerdict:
        verdict = _judge_answer(*arguments, **more)
        return structs.replace(verdict, result=result) if verdict.result == "retry" else verdict

    return wrong


def _sign_as_another(webhook_id: str, *arguments: Any) -> dict[str, str]:
    return _signed(f"{webhook_id}-again", *arguments)


def _sold(row: Any) -> WebhookDelivery:
    found = _claimed(row)
    return structs.replace(found, body=found.body.replace(b'"bid"', b'"ask"'))


# Defects of a gateway under load.
GATEWAY: Final[dict[str, Defect]] = {
    "an order is acknowledged before it is stored": _defect(
        "acknowledged lost",
        (IngestContext, "require_stored", _assume_stored),
        (IngestContext, "wait_ms", lambda self, preferences: 0),
    ),
    "a symbol goes to two partitions": _defect(
        "partition", (PartitionMap, "partition", _in_turn())
    ),
    "an order id names another partition": structs.replace(
        _defect("partition", (order_ids, "ids", SimpleNamespace(order_id=_other_partition))),
        cancels=False,
    ),
    "400 for an accepted order": _defect(
        "refused contradiction",
        (
            PlaceOrderHandler,
            "answer_at_once",
            _refusing(lambda: ProblemError("malformed_json", "Not so.")),
        ),
    ),
    "422 for a retry after valid_until": _defect(
        "contradiction", (app_place, "admit", _admit_in_time_only)
    ),
    "503 for an accepted order": _defect(
        "contradiction",
        (PlaceOrderHandler, "answer_at_once", _refusing(lambda: not_accepted("No."))),
    ),
    "a client order id is lost": _defect(
        "acknowledged contradiction",
        (app_place, "command_of", lambda *a: structs.replace(_command(*a), client_order_id=None)),
    ),
    "an order has another broker": _defect(
        "acknowledged", (app_place, "command_of", _of_the_former_broker())
    ),
    "a cancel is granted without being sent": _defect(
        "lost", (CancelOrderHandler, "begin", _grant)
    ),
    "404 for the cancel of an order in the market": _defect(
        "contradiction", (CancelOrderHandler, "begin", _not_found)
    ),
}

# Defects of a sink that stores a recorded market.
SINK: Final[dict[str, Defect]] = {
    "cancels are dropped": _defect("stored_orders", (Rows, "_left", _forget_cancels)),
    "sums are stored twice": _defect(
        "stored_sums", (Store, "_sum", lambda *of: (_store_sum(*of), _store_sum(*of)))
    ),
    "a resting order has no own event": _defect(
        "stored_events", (rows, "own_events_of", lambda of, steps: own_events_of(of, steps)[:1])
    ),
    "candles begin at the next boundary": _defect(
        "stored_candles", (rows, "start_of", lambda time, of: (time // of + 1) * of)
    ),
    "buyer and seller are exchanged": _defect(
        "stored_trades", (store, "trade_line", _trade_line_swapped)
    ),
    "balances have the wrong sign": _defect(
        "stored_sums",
        (Rows, "_sum", lambda self, fill, taker: _sum(self, fill, _other_side(taker))),
    ),
    "makers get no webhooks": _defect(
        "stored_webhooks", (store, "delivery_lines", _to_takers_only)
    ),
    "webhooks contain the remaining quantity before the trade": _defect(
        "stored_webhooks", (store, "delivery_lines", _left_before_the_trade)
    ),
    "two sinks without a fence": structs.replace(
        _defect("ended", (Store, "_fence", _no_fence), start_at_the_same_position()), sinks=2
    ),
    "the position is stored before the rows": _defect(
        "stored_orders stored_trades", (Store, "_fence", _position_first), lose_connection()
    ),
    "outcomes of a stale matcher are stored": _defect(
        "stored stored_orders", (ExecutionFilter, "_judge", _any_epoch)
    ),
}

# Defects of a sender whose receivers refuse some webhooks once.
WEBHOOKS: Final[dict[str, Defect]] = {
    "a refusal counts as success": _defect(
        "webhooks", (receiver_run, "judge", _refused_is("delivered"))
    ),
    "a refused webhook is parked": _defect(
        "webhooks", (receiver_run, "judge", _refused_is("parked"))
    ),
    "a webhook has another id": _defect(
        "webhooks", (receiver_run, "signed_headers", _sign_as_another)
    ),
    "buyers get webhooks of sales": _defect("webhooks", (outbox, "_delivery", _sold)),
}

# Defects of a reader that starts from the topics, and of one that starts from the database.
READER: Final[dict[str, Defect]] = {
    "a batch is dropped": _defect("views", (Reader, "apply", _drop_a_batch())),
    "cancelled orders stay": _defect("views", (Views, "_left", _keep_cancelled)),
    "buyer and seller are exchanged": _defect("views", (Balances, "traded", _swap)),
    "an order is shown to every broker": _defect("views", (Reader, "order", _order_of_any_broker)),
    "the worst prices come first": _defect("views", (BookView, "best", _worst_first)),
    "the last price is the first": _defect("views", (Prices, "traded", _first_price_stays)),
}
READER_OF_DATABASE: Final[dict[str, Defect]] = {
    "stored balances are counted twice": _defect(
        "views", (Views, "restore_balance", _restore_twice)
    ),
}
