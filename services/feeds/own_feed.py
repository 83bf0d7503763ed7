"""Own events of brokers: each at once, to every connection of its broker that subscribed.

A connection begins with the events that it missed, or with a snapshot of the open orders, a portion
at a time; once it has them all it is live. Events are lossless: a client that is too slow is cut.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from schemas.feed import (
    OrderMessage,
    OrderRefusedMessage,
    OrderRepeatedMessage,
    OrdersSnapshot,
)
from schemas.orders import OrderRecord, OrderTrade
from schemas.own_events import OwnEvent
from services.feeds.client import FeedClient
from services.feeds.messages import frame_of
from services.reader.overlay import Span
from services.reader.own_events import NumberedEvent
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from services.runtime.metrics import STREAM_MESSAGES

# Orders in a part of a snapshot, and events of one portion: about 2 ms of work.
PORTION: Final = 500
_EVERY: Final = Span(None, None, newest_first=False, scan=0)
_MESSAGES = STREAM_MESSAGES.labels("orders")


class _Subscription:
    # `after`: the newest event that the client has, by partition; None: a snapshot is due.
    def __init__(self, broker_id: str, after: dict[int, int] | None) -> None:
        self.broker_id = broker_id
        self.after = after
        # The ids of a snapshot's orders that are not sent yet.
        self.parts: deque[list[str]] = deque()
        self.parts_total = 0
        self.missing: deque[NumberedEvent] = deque()
        self.is_live = False


class OwnFeed:
    """The subscribers of own events. `views`: the present views, which have applied a batch before
    it comes here."""

    def __init__(self, views: Callable[[], Views]) -> None:
        self._views = views
        self._clients: dict[str, dict[FeedClient, _Subscription]] = {}
        self._behind: dict[FeedClient, _Subscription] = {}

    def on_batch(self, batch: Batch) -> None:
        """Write the events of a batch."""
        if not self._clients:
            return
        written: dict[FeedClient, None] = {}
        for numbered in self._views().own_events.latest:
            clients = self._clients.get(numbered.event.broker_id)
            if clients:
                self._send(numbered, clients, written)
        for client in written:
            client.write_out()

    @staticmethod
    def _send(
        numbered: NumberedEvent,
        clients: Mapping[FeedClient, _Subscription],
        written: dict[FeedClient, None],
    ) -> None:
        frame = b""
        for client, subscription in clients.items():
            if subscription.is_live:
                frame = frame or message_of(numbered)
                client.send(frame)
                written[client] = None
                _MESSAGES.inc()

    def resumes(self, broker_id: str, after: Mapping[int, int]) -> bool:
        """True if all events beyond these numbers, by partition, are at hand."""
        return self._views().own_events.since(broker_id, after) is not None

    def subscribe(
        self, client: FeedClient, broker_id: str, after: Mapping[int, int] | None
    ) -> None:
        """Send the events beyond `after`, or None a snapshot, and all later ones."""
        subscription = _Subscription(broker_id, None if after is None else dict(after))
        self._clients.setdefault(broker_id, {})[client] = subscription
        self._behind[client] = subscription
        self._advance(client, subscription)

    def unsubscribe(self, client: FeedClient) -> None:
        """End a subscription; none is no error."""
        self._behind.pop(client, None)
        for broker_id, clients in list(self._clients.items()):
            clients.pop(client, None)
            if not clients:
                del self._clients[broker_id]

    def is_behind(self, client: FeedClient) -> bool:
        """True while the client lacks events that precede those of the newest batch."""
        return client in self._behind

    def behind(self) -> list[FeedClient]:
        """The clients that are not live yet and read what they are sent."""
        return [client for client in self._behind if not client.behind]

    def advance(self, client: FeedClient) -> bool:
        """Send the next portion; True: there may be more."""
        subscription = self._behind.get(client)
        if subscription is not None:
            self._advance(client, subscription)
        return client in self._behind

    def _advance(self, client: FeedClient, subscription: _Subscription) -> None:
        events = self._views().own_events
        if not subscription.parts and subscription.after is None:
            subscription.after = dict(events.numbers(subscription.broker_id))
            subscription.parts.extend(self._parts(subscription.broker_id))
            subscription.parts_total = len(subscription.parts)
        if subscription.parts:
            client.send(self._snapshot(subscription))
        if not subscription.parts:
            self._send_missing(client, subscription)

    def _send_missing(self, client: FeedClient, subscription: _Subscription) -> None:
        after, is_newest = subscription.after or {}, False
        if not subscription.missing:
            found = self._views().own_events.since(subscription.broker_id, after)
            if found is None:
                # Too many events while the client read earlier ones.
                subscription.after = None
                return
            subscription.missing.extend(found)
            is_newest = True
        for _ in range(min(PORTION, len(subscription.missing))):
            numbered = subscription.missing.popleft()
            client.send(message_of(numbered))
            _MESSAGES.inc()
            after[numbered.partition] = numbered.sequence
        if is_newest and not subscription.missing:
            subscription.is_live = True
            del self._behind[client]

    def _parts(self, broker_id: str) -> Iterator[list[str]]:
        """The ids of the open orders in portions; at least one."""
        records = self._views().orders_of(broker_id, _EVERY)
        open_ids = [order_id for order_id, each in records if each.closed_reason is None]
        for start in range(0, max(1, len(open_ids)), PORTION):
            yield open_ids[start : start + PORTION]

    def _snapshot(self, subscription: _Subscription) -> bytes:
        sequences = dict.fromkeys(map(str, sorted(self._views().next_commands())), 0)
        for partition, newest in (subscription.after or {}).items():
            sequences[str(partition)] = newest
        found = map(self._views().order, subscription.parts.popleft())
        # One that has been closed since has an event that follows.
        orders = [each.summary() for each in found if each and each.closed_reason is None]
        part = subscription.parts_total - len(subscription.parts)
        return frame_of(OrdersSnapshot(part, subscription.parts_total, sequences, orders))


def message_of(numbered: NumberedEvent) -> bytes:
    """An own event as a frame."""
    event, order = numbered.event, numbered.order
    place = (numbered.partition, numbered.sequence, numbered.command, numbered.time)
    if event.cause == "refused":
        return frame_of(
            OrderRefusedMessage(*place, str(event.code), event.order_id, event.original_order_id)
        )
    if event.cause == "repeated":
        original = event.original_order_id or ""
        return frame_of(OrderRepeatedMessage(*place, event.order_id, original))
    if order is None:
        raise ValueError(f"order {event.order_id} changed and is not known")
    trades = [each.resource() for each in _trades(event, order, numbered.time)]
    return frame_of(OrderMessage(*place, event.cause, order.summary(), trades))


def _trades(event: OwnEvent, order: OrderRecord, time: int) -> Iterator[OrderTrade]:
    for trade in event.trades:
        fill, is_maker = trade.fill, trade.fill.maker_order_id == order.order_id
        other = trade.taker.broker_id if is_maker else fill.maker_broker_id
        yield OrderTrade(fill.trade_id, fill.price, fill.quantity, other, time)
