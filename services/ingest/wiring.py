"""Composes ingest on the event loop, for the gateway and for a separate process.

Stop: 1. refuse new requests and answer those in progress, 2. stop reading, 3. flush the producer.
"""

import asyncio
import logging
import os
from contextlib import AsyncExitStack

from schemas.topology import Topology
from services.api.brokers import BrokerDirectory
from services.api.server import (
    health_router,
    log_check,
    make_server,
    open_when_caught_up,
)
from services.ingest.app import Ingest
from services.ingest.context import IngestContext
from services.ingest.lookup import Lookup, RemoteLookup, no_lookup
from services.ingest.partition_map import PartitionMap
from services.ingest.publish import Publisher
from services.ingest.waiters import Waiters
from services.runtime.clock import now_ms
from services.runtime.health import Check, Health
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer
from services.runtime.kafka.dispatcher import TopicDispatcher
from services.runtime.kafka.producer import Sender
from services.runtime.lifecycle import Stop
from services.runtime.metrics import IN_FLIGHT
from services.runtime.settings import Settings, require

log = logging.getLogger(__name__)


def make_sender(settings: Settings) -> Sender:
    """The producer of commands and brokers."""
    return Sender(
        kafka_access(settings),
        linger_ms=settings.linger_ms,
        timeout_ms=settings.delivery_timeout_ms,
    )


def make_context(
    settings: Settings, topology: Topology, sender: Sender, lookup: Lookup
) -> IngestContext:
    """The context of placing and cancelling. Call it on the running loop."""
    loop = asyncio.get_running_loop()
    publisher = Publisher(
        sender,
        in_flight_max=settings.in_flight_max,
        delivery_timeout_ms=settings.delivery_timeout_ms,
    )
    IN_FLIGHT.set_function(lambda: publisher.in_flight)
    return IngestContext(
        publisher=publisher,
        waiters=Waiters(loop),
        lookup=lookup,
        partition_map=PartitionMap(topology.partitions),
        loop=loop,
        topic_prefix=topology.prefix,
        partitions=topology.partitions,
        outcome_wait_ms=settings.outcome_wait_ms,
        clock=now_ms,
        randomness=os.urandom,
    )


def add_checks(
    health: Health, dispatcher: TopicDispatcher, publisher: Publisher, topology: Topology
) -> None:
    """Add ingest's readiness checks."""
    health.add("log", lambda: log_check(dispatcher))
    health.add(
        "kafka",
        lambda: Check(publisher.available, "answers" if publisher.available else "is away"),
    )
    health.add("durability", lambda: Check(True, topology.durability))


async def serve(settings: Settings, topology: Topology, stop: Stop) -> None:
    """Serve ingest alone until the stop. Raises the errors of reading the topics."""
    admin_key = require(settings.admin_key, "admin_key")
    async with AsyncExitStack() as ending:
        # 1. The producer, and the context of placing and cancelling.
        sender = make_sender(settings)
        ending.push_async_callback(asyncio.to_thread, sender.close)
        lookup: Lookup = no_lookup
        if settings.reader_url:
            lookup = await ending.enter_async_context(RemoteLookup(settings.reader_url))
        context = make_context(settings, topology, sender, lookup)
        directory = BrokerDirectory(admin_key)
        ingest = Ingest(context, directory)
        # 2. The port.
        health = Health()
        routes = ingest.routes()
        routers = [ingest.router(), health_router(health)]
        app, server = make_server("Exchange: ingest", routes, routers, directory, settings)
        stop.on_set(server.stop)
        # 3. The log.
        dispatcher = TopicDispatcher(
            LogConsumer(kafka_access(settings), Fetch(settings.fetch_wait_ms)),
            topology,
            on_broker=directory.apply,
            on_batch=[ingest.on_batch],
            on_listing=ingest.on_listing,
            failed=server.fail,
        )
        add_checks(health, dispatcher, context.publisher, topology)
        ending.push_async_callback(asyncio.to_thread, dispatcher.stop)
        dispatcher.start(dispatcher.ranges())
        # 4. Until the stop.
        opening = asyncio.create_task(open_when_caught_up(app, dispatcher))
        ending.callback(opening.cancel)
        log.info("answering", extra={"fields": {"port": server.port}})
        await server.run()
