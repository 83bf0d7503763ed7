"""Composes the feed's half of the gateway."""

import asyncio
import hashlib
import secrets
import socket
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from schemas.feed import FEED_VERSION, Hello
from schemas.operations import OperationsResource
from services.api.hosts import HostRules, is_loopback, listed
from services.api.service import ApiContext, Half
from services.feeds import stream_call
from services.feeds.app_sessions import SessionsHandler
from services.feeds.handshake import HandshakeRules
from services.feeds.hub import HEARTBEAT_S, FeedHub
from services.feeds.left_orders import GatewayProcess, LeftOrders
from services.feeds.order_calls import GatewayOrders, NamedOrders
from services.feeds.own_feed import OwnFeed
from services.feeds.raw_feed import RawFeed
from services.feeds.stored_trades import History
from services.feeds.streams import KEYLESS_PER_ADDRESS, FeedStreams, KeyAccounts, StreamBounds
from services.ingest.app import Ingest
from services.reader.app import Reader
from services.runtime.kafka.topic_identity import log_identity


class FeedSources(Struct, frozen=True):
    """Sources of the feed: the reader's views, older trades, own events, state of the pipeline,
    and orders by their client order ids."""

    reader: Reader
    history: History
    own: OwnFeed
    operations: Callable[[int], OperationsResource]
    named: NamedOrders


async def half(
    context: ApiContext, sources: FeedSources, ingest: Ingest, page_version: str
) -> Half:
    """The WebSocket feed of the reader's views, and its orders. Subscribe it after the reader."""
    settings = context.settings
    partitions = context.topology.partitions
    reader, is_ready = sources.reader, context.dispatcher.caught_up
    hub = FeedHub(lambda: reader.views, is_ready, sources.own, partitions)
    hub.operations, hub.stored.history = sources.operations, sources.history
    raw = RawFeed(hub)
    context.dispatcher.subscribe(on_batch=raw.on_batch, singly=raw.is_watched, at_end=raw.write_out)
    identity = await asyncio.to_thread(log_identity, context.kafka, context.topology.prefix)
    is_open = settings.public_data == "open"
    gateway = settings.gateway or f"{socket.gethostname()}:{settings.port}"
    process = GatewayProcess(gateway, secrets.token_hex(4))
    left = LeftOrders(lambda: reader.views, is_ready, ingest.cancelling, process)
    hello = Hello(
        version=FEED_VERSION,
        log=hashlib.sha256(identity.topic_id.encode()).hexdigest()[:12],
        boot=process.boot,
        time=0,
        public=is_open,
        partitions=partitions,
        heartbeat_s=HEARTBEAT_S,
        page=page_version,
    )
    streams = FeedStreams(
        hub,
        KeyAccounts(context.directory, context.rate_limiter),
        HandshakeRules(listed(settings.origins), HostRules.of(settings.host, settings.hosts)),
        hello,
        GatewayOrders(
            ingest, partial(context.freshness.refusal, writes=True), process, sources.named
        ),
        StreamBounds(
            settings.streams_max,
            # Under `exchange run` all programs of one machine share an address.
            0 if is_open and is_loopback(settings.host) else KEYLESS_PER_ADDRESS,
        ),
    )
    return Half(
        routes=[stream_call.ROUTE],
        routers=[SessionsHandler(left, is_ready).router()],
        work=[hub.run, streams.run, left.run],
        streams=streams,
    )
