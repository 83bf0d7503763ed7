"""Composes ingest's half of the API, for the gateway and for a separate process."""

import asyncio
import os
from collections.abc import Callable, Sequence

from services.api.service import ApiContext, Half
from services.ingest.app import Ingest
from services.ingest.context import IngestContext
from services.ingest.lookup import OrderViews, RemoteLookup
from services.ingest.publish import Publisher
from services.ingest.waiters import Waiters
from services.runtime.clock import now_ms
from services.runtime.errors import ExchangeError
from services.runtime.health import Check
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.producer import Sender
from services.runtime.metrics import IN_FLIGHT
from services.runtime.settings import Settings, require


def make_sender(settings: Settings, failed: Callable[[ExchangeError], None]) -> Sender:
    """The producer of commands and brokers."""
    return Sender(
        kafka_access(settings),
        linger_ms=settings.linger_ms,
        timeout_ms=settings.delivery_timeout_ms,
        failed=failed,
    )


def make_context(context: ApiContext, sender: Sender, views: OrderViews) -> IngestContext:
    """The context of placing and cancelling. Call it on the running loop."""
    settings, topology = context.settings, context.topology
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
        views=views,
        partition_map=context.partition_map,
        rate_limiter=context.rate_limiter,
        loop=loop,
        topic_prefix=topology.prefix,
        partitions=topology.partitions,
        outcome_wait_ms=settings.outcome_wait_ms,
        clock=now_ms,
        randomness=os.urandom,
        rules_level=context.dispatcher.rules_level,
    )


def half(context: ApiContext, views: OrderViews, *, has_reads: bool = False) -> tuple[Half, Ingest]:
    """Ingest's calls, and ingest itself for sessions in the same process. Call it on the running
    loop. `views` have the orders to cancel, and the phases and rules for checks of orders.

    `has_reads`: the process also serves calls that need no Kafka.
    """
    settings, topology = context.settings, context.topology
    require(settings.admin_key, "admin_key")
    sender = make_sender(settings, context.stop.fail)
    ingest_context = make_context(context, sender, views)
    context.ending.push_async_callback(close, ingest_context.publisher, sender.close)
    ingest = Ingest(ingest_context, context.directory)
    context.dispatcher.subscribe(on_batch=ingest.on_batch)
    publisher = ingest_context.publisher
    context.health.add(
        "kafka",
        lambda: kafka_check(publisher.available, has_reads=has_reads),
    )
    context.health.add("durability", lambda: Check(True, topology.durability))
    return Half(routes=ingest.routes(), routers=ingest.routers()), ingest


async def close(publisher: Publisher, close_sender: Callable[[], int]) -> None:
    """Send the records that are held, then close the producer, which waits for its deliveries."""
    publisher.flush()
    await asyncio.to_thread(close_sender)


def kafka_check(available: bool, *, has_reads: bool) -> Check:
    """Readiness check of the producer."""
    # A process with reads stays ready: behind a load balancer they would end too, and orders would
    # get its error instead of the certain 503 of this process.
    if available:
        return Check(True, "answers")
    return Check(has_reads, "is away: calls that write are answered 503")


async def build(context: ApiContext) -> Sequence[Half]:
    """Ingest alone: it looks orders up at EXCHANGE_READER_URL, if that is set."""
    views = OrderViews()
    if context.settings.reader_url:
        remote = RemoteLookup(context.settings.reader_url)
        await context.ending.enter_async_context(remote)
        views = OrderViews(remote.lookup, remote.named)
    placing, _ = half(context, views)
    return [placing]
