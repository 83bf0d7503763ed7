"""Composes the gateway: the reader's half first, so that views are up to date before any answer.

Each outcome reaches the views before the requests that wait for it.
"""

from collections.abc import Sequence
from functools import partial

from schemas.market_controls import MarketState
from schemas.rest import OrderResource
from services.api.app import ProblemError, Request
from services.api.service import ApiContext, Half
from services.feeds import wiring as feeds
from services.feeds.own_feed import OwnFeed
from services.ingest import wiring as ingest
from services.ingest.lookup import (
    AtHand,
    Lookup,
    LookupUnavailableError,
    MarketAtHand,
    NamedLookup,
    OrderViews,
)
from services.page import wiring as page
from services.page.assets import load_page
from services.reader import wiring as reader
from services.reader.app import Reader
from services.reader.errors import OrderStateUnknownError
from services.reader.order_routes import OrderRoutes
from services.runtime.degraded import read_degraded
from services.webhooks import wiring as webhooks


def lookup_of(views: Reader) -> Lookup:
    """The reader's own look-up in the form that ingest uses."""

    async def lookup(order_id: str, request: Request) -> OrderResource | None:
        try:
            return await views.order(order_id, request.broker.broker_id)
        except OrderStateUnknownError as error:
            raise LookupUnavailableError(str(error)) from error

    return lookup


def named_lookup_of(orders: OrderRoutes) -> NamedLookup:
    """Ingest's look-up by client order id."""

    async def named(symbol: str, client_order_id: str, request: Request) -> str | None:
        name = (request.broker.broker_id, symbol, client_order_id)
        try:
            order = orders.named_at_hand(*name) or await orders.named(*name)
        except OrderStateUnknownError as error:
            raise LookupUnavailableError(str(error)) from error
        return None if order is None else order.order_id

    return named


def at_hand_of(views: Reader) -> AtHand:
    """The reader's orders in memory in the form that ingest uses."""
    return lambda order_id: views.ready_views().order(order_id)


def market_at_hand_of(views: Reader) -> MarketAtHand:
    """The reader's view of a symbol's market in the form that ingest uses."""

    def market(symbol: str) -> MarketState | None:
        try:
            ready = views.ready_views()
        except ProblemError:
            # Until the views are complete, the market is unknown.
            return None
        held = ready.instruments.get(symbol)
        if held is None:
            return MarketState("continuous")
        return MarketState(held.phase, held.rules, held.reference(ready.last_trade(symbol)))

    return market


async def build(context: ApiContext) -> Sequence[Half]:
    """All halves of the API. Readiness lists the helpers of `exchange run` that are down."""
    context.health.report_degraded(partial(read_degraded, context.settings.data_dir))
    reading = await reader.read(context)
    views = reading.reader
    # Before ingest: an order's own event is written before the answer to its request.
    own = OwnFeed(lambda: views.views)
    context.dispatcher.subscribe(on_batch=own.on_batch)
    files = load_page()
    order_views = OrderViews(
        lookup_of(views),
        named_lookup_of(reading.orders),
        at_hand_of(views),
        market_at_hand_of(views),
    )
    placing, orders = ingest.half(context, order_views, has_reads=True)
    sending, deliveries = await webhooks.half(context)
    showing, operations = page.half(context, views, deliveries, files)
    sources = feeds.FeedSources(
        views, reading.trades.read, own, operations.watched_state, reading.orders
    )
    feeding = await feeds.half(context, sources, orders, files.version)
    return [placing, reading.half, sending, feeding, showing]
