"""Composes the reader as a separate process: follows the topics and answers on its own port.

The gateway mounts the reader's calls beside ingest's and does not use this file.
"""

import asyncio
import logging
from contextlib import AsyncExitStack

from schemas.topology import Topology
from services.api.brokers import BrokerDirectory
from services.api.server import (
    health_router,
    log_check,
    make_server,
    open_when_caught_up,
)
from services.reader.app import Reader
from services.reader.archive import Archive
from services.reader.bootstrap import ViewBootstrap
from services.reader.command_log import CommandLog
from services.reader.database_views import StoredViews
from services.reader.views import Views
from services.runtime.health import Health
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer
from services.runtime.kafka.dispatcher import TopicDispatcher
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.lifecycle import Stop
from services.runtime.settings import Settings, require

log = logging.getLogger(__name__)


async def serve(settings: Settings, topology: Topology, stop: Stop) -> None:
    """Serve the reader alone until the stop. Raises errors of reading and applying records."""
    async with AsyncExitStack() as ending:
        # 1. The views, and the archive of closed orders. No call here needs the admin key.
        kafka = kafka_access(settings)
        database_url = require(settings.database_url, "database_url")
        identity = log_identity(kafka, topology.prefix)
        archive = Archive(database_url, identity)
        await archive.open()
        ending.push_async_callback(archive.close)
        directory = BrokerDirectory(settings.admin_key)
        commands = CommandLog(kafka, topology)
        reader = Reader(Views(), archive, directory, lambda: dispatcher.caught_up, commands.end)
        # 2. The port.
        health = Health()
        routes = reader.routes()
        routers = [health_router(health)]
        app, server = make_server("Exchange: reader", routes, routers, directory, settings)
        stop.on_set(server.stop)
        # 3. The dispatcher.
        dispatcher = TopicDispatcher(
            LogConsumer(kafka, Fetch(settings.fetch_wait_ms)),
            topology,
            on_broker=directory.apply,
            on_batch=[reader.apply],
            on_listing=None,
            failed=server.fail,
        )
        health.add("log", lambda: log_check(dispatcher))
        bootstrap = ViewBootstrap(
            StoredViews(database_url, identity), dispatcher, reader, server.fail
        )
        health.add("views", bootstrap.check)
        ending.push_async_callback(asyncio.to_thread, dispatcher.stop)
        # 4. Until the stop.
        for work in (bootstrap.run(), open_when_caught_up(app, dispatcher), reader.forget_stored()):
            ending.callback(asyncio.create_task(work).cancel)
        log.info("answering", extra={"fields": {"port": server.port}})
        await server.run()
