"""Sends the outbox to the receivers until the stop.

1. `_open`: a session with PostgreSQL; claims of an earlier session are void.
2. `_record`: results of attempts, as many as have gathered.
3. `_claim`: receivers with a webhook due; each gets a `ReceiverRun`.
4. `_wait`: for the end of an attempt, a notification of PostgreSQL, or the next poll.
A lost connection leads back to 1; attempts continue meanwhile, and are recorded then.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import psycopg
from psycopg import AsyncConnection, OperationalError

from services.runtime.health import Check, check_age
from services.runtime.logging_setup import RateLimit
from services.runtime.postgres.connection import connect_async
from services.runtime.postgres.errors import outage, raise_if_auth_error, waitable
from services.runtime.postgres.watchdog import cut
from services.webhooks.floors import Floors
from services.webhooks.outbox import Attempted, ClaimedReceiver, Ended
from services.webhooks.receiver_run import Post, ReceiverRun, SendPolicy
from services.webhooks.sender import ATTEMPT_S_MAX
from services.webhooks.store import (
    CHANNEL,
    LEASE_S,
    RECEIVERS_MAX,
    WebhookStore,
)

log = logging.getLogger(__name__)
# Interval of log lines while PostgreSQL is away.
log.addFilter(RateLimit(lines_per_minute=6))

# Interval of polls for retries that are due: NOTIFY announces only new deliveries.
LOOK_S = 1.0
RETRY_S = 0.5
# Results gather this long; those lost by a kill are sent once more.
GATHER_S = 0.01
# Claims come at least every LOOK_S. Longer than a statement may take: one that is cancelled by its
# time limit is repeated, and only a second one in a row counts.
CLAIM_AGE_S_MAX = 20.0
# No attempt begins so late that it could outlive the lease.
TURN_S = LEASE_S - ATTEMPT_S_MAX - 2.0
# Attempts in progress at the stop end within this time. A PostgreSQL that does not record their
# results is abandoned soon after.
DRAIN_S = ATTEMPT_S_MAX + 1.0
STOP_S = DRAIN_S + 1.0


class WebhookLoop:
    """Runs with `run` until the stop. Several may run at the same time, in one process or many."""

    def __init__(
        self,
        database_url: str,
        post: Post,
        send_policy: SendPolicy,
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_gone` is called after a receiver has answered 410."""
        self._database_url = database_url
        self._post = post
        self._send_policy = send_policy
        self._on_gone = on_gone
        self._turns: dict[str, ReceiverRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._attempted: list[Attempted] = []
        self._ended: list[Ended] = []
        self._wake = asyncio.Event()
        self._look = True
        self._claimed_at: float | None = None
        self._floors = Floors()
        self._stopping = False
        self._connected = False
        self._store: WebhookStore | None = None
        self._listening: AsyncConnection | None = None

    def stop(self) -> None:
        """Begin no further work. Called on the loop's thread."""
        self._stopping = True
        self._wake.set()
        asyncio.get_running_loop().call_later(STOP_S, self._cut)

    def _cut(self) -> None:
        if self._store is not None:
            self._store.cut()

    def postgres(self) -> Check:
        """True if there is a connection that is not known to be lost."""
        return Check(self._connected, "connected" if self._connected else "away, trying again")

    def claiming(self) -> Check:
        """True if receivers with due webhooks were looked for a short time ago."""
        return check_age(self._claimed_at, CLAIM_AGE_S_MAX, "claim")

    async def run(self) -> None:
        """Send until the stop; wait whenever PostgreSQL is unavailable.

        Raises UnavailableError without an outbox, AccessError if PostgreSQL refuses this user.
        """
        while not self._stopping:
            try:
                await self._session()
            except psycopg.Error as error:
                raise_if_auth_error(error)
                if not waitable(error):
                    raise
                self._connected = False
                log.warning("%s", outage(error))
                await asyncio.sleep(RETRY_S)

    async def _session(self) -> None:
        self._store = store = await WebhookStore.open(self._database_url)
        listener = asyncio.create_task(self._listen())
        try:
            await store.begin()
            self._connected = True
            self._look = True
            while not self._stopping:
                await self._record(store)
                await self._claim(store)
                await self._wait(listener)
            await self._drain(store)
        finally:
            # Abort first: closing would wait for a query without an answer, cancelled or not.
            cut(self._listening)
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await store.close()

    async def _listen(self) -> None:
        async with await connect_async(self._database_url) as connection:
            self._listening = connection
            await connection.execute(f"LISTEN {CHANNEL}")
            self._look = True
            self._wake.set()
            async for _ in connection.notifies():
                self._look = True
                self._wake.set()
        raise OperationalError("the connection that listens has ended")

    async def _record(self, store: WebhookStore) -> None:
        attempted, ended = self._attempted[:], self._ended[:]
        if attempted or ended:
            await store.record(attempted, ended)
            del self._attempted[: len(attempted)], self._ended[: len(ended)]
        # Only now, because an idle receiver is claimed again, together with unrecorded results.
        for one in ended:
            self._turns.pop(one.broker_id, None)
            self._look = True
        if any(one.gone for one in ended):
            self._on_gone()

    async def _claim(self, store: WebhookStore) -> None:
        if self._look:
            self._look = False
            room = min(RECEIVERS_MAX, self._send_policy.receivers_max - len(self._turns))
            found = await self._look_for(store, room) if room > 0 else []
            self._claimed_at = time.monotonic()
            for claimed in found:
                self._begin(claimed)
            if found and len(found) == room:
                self._look = True
                self._wake.set()

    async def _look_for(self, store: WebhookStore, room: int) -> list[ClaimedReceiver]:
        floors = self._floors.begin(time.monotonic())
        found: list[ClaimedReceiver] = []
        try:
            found = await store.claim(list(self._turns), room, floors)
        finally:
            first_due = ((it.broker_id, it.deliveries[0].event_id) for it in found if it.deliveries)
            self._floors.end(time.monotonic(), first_due)
        return found

    def _begin(self, claimed: ClaimedReceiver) -> None:
        turn = ReceiverRun(claimed, self._send_policy, self._post, self._on_attempt)
        self._turns[claimed.broker_id] = turn
        task = asyncio.create_task(self._run(turn))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _run(self, turn: ReceiverRun) -> None:
        try:
            ended = await turn.run()
        except Exception:
            # One receiver's trouble must neither end the sender nor leave the receiver busy.
            log.exception("the run of a receiver was broken off")
            ended = turn.failed()
        self._ended.append(ended)

    def _on_attempt(self, attempted: Attempted) -> None:
        self._attempted.append(attempted)
        self._wake.set()

    async def _wait(self, listener: asyncio.Task[None]) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), LOOK_S)
        except TimeoutError:
            self._look = True
        if self._attempted:
            await asyncio.sleep(GATHER_S)
        self._wake.clear()
        if listener.done():
            listener.result()

    async def _drain(self, store: WebhookStore) -> None:
        for turn in self._turns.values():
            turn.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_S)
        await self._record(store)
