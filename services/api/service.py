"""Composes an API process from halves: ingest, reader and webhooks on one port and one dispatcher.

Stop: 1. refuse new requests and answer those in progress, 2. stop reading, 3. close the resources
of the halves, such as the producer, in reverse order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial

from msgspec import Struct

from schemas.codec import UnreadableError
from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, LISTINGS
from schemas.topology import Topology
from services.api.brokers import BrokerDirectory
from services.api.framework import ServiceRouter
from services.api.freshness import BrokersFreshness
from services.api.messages import Route
from services.api.pages import Pages
from services.api.partition_map import PartitionMap
from services.api.rate_limits import RateLimiter, rate_limits_of
from services.api.server import (
    HttpServer,
    health_router,
    log_check,
    make_app,
    open_when_caught_up,
)
from services.api.streams import Streams
from services.runtime.health import Health, health_answered
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.kafka.consumer import AT_ONCE, LogConsumer
from services.runtime.kafka.dispatcher import TopicDispatcher
from services.runtime.kafka.topic_ends import TopicEnds
from services.runtime.kafka.topic_watch import TopicWatch
from services.runtime.lifecycle import Stop
from services.runtime.metrics import QUARANTINED
from services.runtime.settings import Settings

log = logging.getLogger(__name__)

_WATCHED = (COMMANDS, EXECUTIONS, BROKERS, LISTINGS)


class ApiContext(Struct, frozen=True):
    """Parts that the halves of one process share. A half subscribes to `dispatcher`, adds its
    readiness checks to `health`, and closes its resources by `ending`."""

    settings: Settings
    topology: Topology
    kafka: KafkaAccess
    directory: BrokerDirectory
    partition_map: PartitionMap
    rate_limiter: RateLimiter
    freshness: BrokersFreshness
    dispatcher: TopicDispatcher
    health: Health
    stop: Stop
    ending: AsyncExitStack


class Half(Struct, frozen=True):
    """One service's share of the process: hot calls, other calls, and work until the stop.

    `starts_dispatcher`: its work starts the dispatcher, from positions that only it knows.
    `streams`: connections by Upgrade, at most of one half. `pages`: files for browsers.
    """

    routes: Sequence[Route] = ()
    routers: Sequence[ServiceRouter] = ()
    work: Sequence[Callable[[], Awaitable[None]]] = ()
    starts_dispatcher: bool = False
    streams: Streams | None = None
    pages: Pages | None = None


Build = Callable[[ApiContext], Awaitable[Sequence[Half]]]


async def serve(
    title: str, build: Build, settings: Settings, topology: Topology, stop: Stop
) -> None:
    """Serve the halves until the stop. Raises the errors of reading the topics and of halves."""
    async with AsyncExitStack() as ending:
        kafka = kafka_access(settings)
        directory = BrokerDirectory(settings.admin_key)
        partition_map = PartitionMap(topology.partitions)
        rate_limiter = RateLimiter(rate_limits_of(settings))
        dispatcher = TopicDispatcher(
            LogConsumer(kafka, AT_ONCE),
            topology,
            on_broker=directory.apply,
            on_listing=partial(_apply_listing, partition_map),
            failed=stop.fail,
        )
        watched = [topology.name(topic) for topic in _WATCHED]
        ending.enter_context(closing(TopicWatch(kafka, watched, stop.fail)))
        health = Health()
        ends = TopicEnds(kafka, topology.name(BROKERS))
        freshness = BrokersFreshness(partial(ends.end, 0), dispatcher.brokers_applied)
        health.add("log", lambda: log_check(dispatcher, freshness))
        common = (settings, topology, kafka, directory, partition_map, rate_limiter, freshness)
        halves = await build(ApiContext(*common, dispatcher, health, stop, ending))
        routers = [router for half in halves for router in half.routers]
        routers.append(health_router(health, settings))
        routes = [route for half in halves for route in half.routes]
        pages = [half.pages for half in halves if half.pages is not None]
        app = make_app(title, routes, routers, directory, rate_limiter, pages)
        if settings.public_data == "open":
            app.open_market()
        streams = [half.streams for half in halves if half.streams is not None]
        server = HttpServer(app, settings, streams=streams[0] if streams else None)
        app.require_fresh(freshness)
        stop.on_set(server.stop)
        # After the halves: reading stops before they close the handlers of the records.
        ending.push_async_callback(asyncio.to_thread, dispatcher.stop)
        if not any(half.starts_dispatcher for half in halves):
            dispatcher.start(dispatcher.ranges())
        for task in (freshness.run(), open_when_caught_up(app, dispatcher, freshness)):
            ending.callback(asyncio.create_task(task).cancel)
        for work in (work for half in halves for work in half.work):
            ending.callback(asyncio.ensure_future(work()).cancel)
        log.info("answering", extra={"fields": {"port": server.port}})
        # After all checks were added: before, the process would seem ready.
        ending.enter_context(health_answered(settings, health))
        await server.run()
        stop.raise_failure()


def _apply_listing(partition_map: PartitionMap, key: bytes | None, value: bytes | None) -> None:
    # An unreadable listing, written by another program, is logged and skipped.
    try:
        partition_map.apply(key, value)
    except (UnreadableError, ValueError) as error:
        log.error("unusable listing", extra={"fields": {"reason": str(error)}})
        QUARANTINED.labels(LISTINGS.name).inc()
