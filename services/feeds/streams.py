"""All WebSocket connections of a gateway: bounds on their number, timers, and the stop."""

import asyncio
import itertools
import logging
import time
from asyncio import Transport
from collections.abc import Sequence
from functools import partial

from msgspec import Struct, structs

from schemas.feed import Hello
from services.api.brokers import BrokerDirectory, Caller
from services.api.messages import ProblemError, not_accepted
from services.api.rate_limits import RateLimiter
from services.api.streams import Header
from services.api.token_bucket import network_of
from services.feeds.client import GRACE_MS, FeedClient
from services.feeds.connection import FeedConnection
from services.feeds.event_stream import EventStream
from services.feeds.handshake import HandshakeRules, refusal
from services.feeds.hub import RESTART, FeedHub
from services.feeds.order_entry import OrderCalls, OrderEntry
from services.feeds.rota import Rota
from services.feeds.session import Accounts, FeedSession
from services.feeds.stream_call import STREAM
from services.runtime.clock import now_ms
from services.runtime.metrics import STREAMS, STREAMS_MAX

log = logging.getLogger(__name__)

# Connections of one address without a key: more than a browser or a tool opens.
KEYLESS_PER_ADDRESS = 20
_CHECK_S = 1.0
_CHECKS_STEP_S = 0.1
_DRAIN_STEP_S = 0.02


class KeyAccounts:
    """Keys of the broker directory; failed logins cost their address as failed requests do."""

    def __init__(self, directory: BrokerDirectory, limiter: RateLimiter) -> None:
        self._directory = directory
        self._limiter = limiter

    def caller(self, api_key: str) -> Caller | None:
        """The holder of this key; None if there is none."""
        return self._directory.caller(api_key, now_ms())

    def failed_login(self, address: str) -> ProblemError:
        """401, or 429 where the address has had too many."""
        return self._limiter.unauthenticated(address, time.monotonic())


class StreamBounds(Struct, frozen=True):
    """Numbers of connections: all, and those of one address that showed no key (0: no bound)."""

    streams_max: int
    keyless_per_address_max: int


class FeedStreams:
    """Accepts connections and checks each once a second."""

    def __init__(
        self,
        hub: FeedHub,
        accounts: Accounts,
        rules: HandshakeRules,
        hello: Hello,
        calls: OrderCalls,
        bounds: StreamBounds,
    ) -> None:
        self._hub = hub
        self._accounts = accounts
        self._rules = rules
        self._hello = hello
        self._calls = calls
        self._bounds = bounds
        # Of sessions: their names are that of this process, with a number.
        self._numbers = itertools.count(1)
        self._connections: dict[FeedConnection | EventStream, None] = {}
        self._checks: Rota[FeedConnection | EventStream] = Rota(_CHECK_S)
        self._stopping_since_s: float | None = None
        STREAMS_MAX.set(bounds.streams_max)
        for name, kind in (("websocket", FeedConnection), ("events", EventStream)):
            STREAMS.labels(name).set_function(partial(self._count, kind))

    def _count(self, kind: type[FeedConnection | EventStream]) -> int:
        return sum(isinstance(each, kind) for each in self._connections)

    def answers(self, target: bytes) -> bool:
        """True for `GET /stream`, which is answered without an end."""
        return target.partition(b"?")[0] == STREAM.encode()

    def wants(self, target: bytes, headers: Sequence[Header]) -> bool:
        """True for an Upgrade of `/ws` to a WebSocket."""
        if target.partition(b"?")[0] != b"/ws":
            return False
        return any(name == b"upgrade" and v.lower() == b"websocket" for name, v in headers)

    def refusal(self, address: str) -> ProblemError | None:
        """503 at the start and the stop, or when all streams are in use; 429 beyond the address'
        bound."""
        # Before, the views are replaced as a whole, which no change of a book would show.
        away = self._stopping_since_s is not None or not self._hub.ready()
        if away or len(self._connections) >= self._bounds.streams_max:
            return not_accepted("no stream is free; nothing was written", close=True)
        keyless_max = self._bounds.keyless_per_address_max
        if keyless_max and self._keyless(address) >= keyless_max:
            detail = f"at most {keyless_max} streams without a key from one address"
            return ProblemError("rate_limited", detail, headers=(("Retry-After", "1"),))
        return None

    def _keyless(self, address: str) -> int:
        network = network_of(address)
        return sum(
            each.network == network and each.client.broker_id is None for each in self._connections
        )

    def take(self, transport: Transport, address: str, head: bytes) -> None:
        """Take over a connection. `head`: its request, and the bytes that followed."""
        kind: type[FeedConnection | EventStream] = FeedConnection
        if self.answers(head.split(b" ", 2)[1]):
            kind = EventStream
        connection = kind(
            self._hub, address, self._session, self._handshake_refusal, time.monotonic
        )
        connection.ended = self._ended
        self._connections[connection] = None
        self._checks.add(connection)
        connection.begin(transport, head)

    def _session(self, client: FeedClient) -> FeedSession:
        hello = structs.replace(self._hello, time=now_ms())
        entry = OrderEntry(self._calls, f"{self._calls.process_name}/{next(self._numbers)}")
        return FeedSession(self._hub, client, self._accounts, hello, time.monotonic, entry)

    def _handshake_refusal(self, hosts: list[str], origins: list[str]) -> str | None:
        return refusal(self._rules, hosts, origins)

    def _ended(self, connection: FeedConnection | EventStream) -> None:
        self._connections.pop(connection, None)
        self._checks.remove(connection)

    async def run(self) -> None:
        """Check the connections once a second until cancelled."""
        while True:
            await asyncio.sleep(_CHECKS_STEP_S)
            now_s = time.monotonic()
            for connection in self._checks.due(now_s):
                try:
                    connection.check(now_s)
                except Exception:
                    # An error of one connection must not end the timers of all.
                    log.exception("a WebSocket connection is reset")
                    connection.abort()

    def stop(self) -> None:
        """Close all connections that wait for no response, because the process stops."""
        self._stopping_since_s = time.monotonic()
        self._calls.stop()
        self._hub.close(self._waiting())

    async def drain(self) -> None:
        """Close the others once they have their responses, or have waited for too long."""
        deadline_s = (self._stopping_since_s or time.monotonic()) + GRACE_MS / 1_000
        while clients := self._hub.clients():
            waiting = self._waiting() if time.monotonic() < deadline_s else set()
            for client in clients:
                if client not in waiting:
                    self._hub.cut(client, RESTART, "restart")
            await asyncio.sleep(_DRAIN_STEP_S)

    def _waiting(self) -> set[FeedClient]:
        return {
            each.client
            for each in self._connections
            if isinstance(each, FeedConnection) and each.in_flight
        }
