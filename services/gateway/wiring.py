"""Composes ingest and reader on one port and one dispatcher: views first, then waiting requests.

An unavailable database does not make it unready: only closed orders that have left memory need it.
"""

import asyncio
import logging
from contextlib import AsyncExitStack

from schemas.orders import OrderRecord
from schemas.rest import OrderResource
from schemas.topology import Topology
from services.api.app import Request
from services.api.brokers import BrokerDirectory
from services.api.framework import ServiceRouter
from services.api.server import (
    health_router,
    make_server,
    open_when_caught_up,
)
from services.ingest.app import Ingest
from services.ingest.lookup import Lookup, LookupUnavailableError
from services.ingest.wiring import add_checks, make_context, make_sender
from services.reader.app import OrderArchive, Reader
from services.reader.archive import Archive
from services.reader.bootstrap import ViewBootstrap
from services.reader.command_log import CommandLog
from services.reader.database_views import StoredViews
from services.reader.errors import ArchiveUnavailableError, OrderStateUnknownError
from services.reader.views import Views
from services.runtime.health import Check, Health
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer
from services.runtime.kafka.dispatcher import TopicDispatcher
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.lifecycle import Stop
from services.runtime.postgres.pool import PostgresPool
from services.runtime.settings import Settings, require
from services.webhooks.app import WebhookRoutes
from services.webhooks.deliveries import Deliveries

log = logging.getLogger(__name__)


class WatchedArchive:
    """The archive, with the result of its last query: the reader queries it every second."""

    def __init__(self, archive: OrderArchive) -> None:
        self._archive = archive
        self.reachable = False

    async def order(self, order_id: str) -> OrderRecord | None:
        """As in the archive."""
        return await self._archive.order(order_id)

    async def positions(self) -> dict[int, int]:
        """As in the archive."""
        try:
            positions = await self._archive.positions()
        except ArchiveUnavailableError:
            self.reachable = False
            raise
        self.reachable = True
        return positions

    def check(self) -> Check:
        """Informational check: the exchange trades without a database."""
        return Check(True, "answers" if self.reachable else "is away; trading goes on without it")


def lookup_of(reader: Reader) -> Lookup:
    """The reader's own look-up in the form that ingest uses."""

    async def lookup(order_id: str, request: Request) -> OrderResource | None:
        try:
            return await reader.order(order_id, request.broker.broker_id)
        except OrderStateUnknownError as error:
            raise LookupUnavailableError(str(error)) from error

    return lookup


async def webhook_router(database_url: str, ending: AsyncExitStack) -> ServiceRouter:
    """Calls of brokers on the outbox; its pool is closed by `ending`."""
    pool = PostgresPool(database_url, read_only=False)
    await pool.open()
    ending.push_async_callback(pool.close)
    return WebhookRoutes(Deliveries(pool)).router()


async def serve(settings: Settings, topology: Topology, stop: Stop) -> None:
    """Serve until the stop. Raises the errors of reading the topics and applying records."""
    admin_key = require(settings.admin_key, "admin_key")
    async with AsyncExitStack() as ending:
        # 1. The reader's half: the views, and the archive of closed orders.
        kafka = kafka_access(settings)
        database_url = require(settings.database_url, "database_url")
        identity = log_identity(kafka, topology.prefix)
        archive = Archive(database_url, identity)
        await archive.open()
        ending.push_async_callback(archive.close)
        watched = WatchedArchive(archive)
        directory = BrokerDirectory(admin_key)
        commands = CommandLog(kafka, topology)
        reader = Reader(Views(), watched, directory, lambda: dispatcher.caught_up, commands.end)
        # 2. Ingest's half: the producer, and the context of placing and cancelling.
        sender = make_sender(settings)
        ending.push_async_callback(asyncio.to_thread, sender.close)
        context = make_context(settings, topology, sender, lookup_of(reader))
        ingest = Ingest(context, directory)
        # 3. The outbox, for the calls on webhooks.
        webhooks = await webhook_router(database_url, ending)
        # 4. The port.
        health = Health()
        routes = [*ingest.routes(), *reader.routes()]
        routers = [ingest.router(), webhooks, health_router(health)]
        app, server = make_server("Exchange", routes, routers, directory, settings)
        stop.on_set(server.stop)
        # 5. The dispatcher.
        dispatcher = TopicDispatcher(
            LogConsumer(kafka, Fetch(settings.fetch_wait_ms)),
            topology,
            on_broker=directory.apply,
            on_batch=[reader.apply, ingest.on_batch],
            on_listing=ingest.on_listing,
            failed=server.fail,
        )
        add_checks(health, dispatcher, context.publisher, topology)
        health.add("database", watched.check)
        bootstrap = ViewBootstrap(
            StoredViews(database_url, identity), dispatcher, reader, server.fail
        )
        health.add("views", bootstrap.check)
        ending.push_async_callback(asyncio.to_thread, dispatcher.stop)
        # 6. Until the stop.
        for work in (bootstrap.run(), open_when_caught_up(app, dispatcher), reader.forget_stored()):
            ending.callback(asyncio.create_task(work).cancel)
        log.info("answering", extra={"fields": {"port": server.port}})
        await server.run()
