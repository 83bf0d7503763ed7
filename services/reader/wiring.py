"""Composes the reader's half of the API, for the gateway and for a separate process."""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from services.api.service import ApiContext, Half
from services.reader.app import Reader
from services.reader.archive import Archive
from services.reader.bootstrap import ViewBootstrap
from services.reader.candle_routes import CandleRoutes
from services.reader.command_log import CommandLog
from services.reader.database_views import StoredViews
from services.reader.fill_routes import FillRoutes
from services.reader.list_archive import ListArchive
from services.reader.market_routes import MarketRoutes
from services.reader.order_routes import OrderRoutes
from services.reader.stock_trades import StockTrades
from services.reader.ticker_routes import TickerRoutes
from services.reader.views import Views
from services.reader.watched_archive import WatchedArchive
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.settings import require


class ReaderParts(Struct, frozen=True):
    """The reader's calls, and its parts for others in the same process."""

    half: Half
    reader: Reader
    trades: StockTrades
    orders: OrderRoutes


async def read(context: ApiContext) -> ReaderParts:
    """The reader, its views and its calls.

    An unavailable database does not make it unready: only closed orders that have left memory
    need it.
    """
    database_url = require(context.settings.database_url, "database_url")
    identity = log_identity(context.kafka, context.topology.prefix)
    archive = Archive(database_url, identity)
    await archive.open()
    context.ending.push_async_callback(archive.close)
    watched = WatchedArchive(archive)
    lists = ListArchive(archive)
    dispatcher = context.dispatcher
    commands = CommandLog(context.kafka, context.topology)
    reader = Reader(Views(), watched, context.directory, dispatcher.caught_up, commands.end)
    trades = StockTrades(reader, lists)
    orders = OrderRoutes(reader, context.partition_map, lists)
    dispatcher.subscribe(on_batch=reader.apply)
    bootstrap = ViewBootstrap(
        partial(StoredViews, database_url, identity), dispatcher, reader, context.stop.fail
    )
    context.health.add("database", watched.check)
    context.health.add("views", bootstrap.check)
    half = Half(
        routes=reader.routes(),
        routers=[
            MarketRoutes(reader, context.partition_map, trades).router(),
            orders.router(),
            FillRoutes(reader, lists).router(),
            CandleRoutes(reader, lists).router(),
            TickerRoutes(reader).router(),
        ],
        work=[bootstrap.run, reader.forget_stored],
        starts_dispatcher=True,
    )
    return ReaderParts(half, reader, trades, orders)


async def build(context: ApiContext) -> Sequence[Half]:
    """The reader alone. No call here needs the admin key."""
    return [(await read(context)).half]
