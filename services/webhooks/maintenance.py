"""Maintenance of the outbox: parking, counting and deleting, apart from the loop that sends.

Each kind has its own connection and works in portions of rows, so neither a long queue nor an old
one delays a claim. A receiver that is gone is not claimed anyway; parking only tidies its rows.
Several senders may maintain one outbox: each row is changed once.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing

import psycopg
from psycopg.errors import QueryCanceled

from services.runtime.metrics import WEBHOOK_RECEIVERS_DUE, WEBHOOKS_PARKED, WEBHOOKS_PENDING
from services.runtime.postgres.errors import outage
from services.webhooks.maintenance_store import (
    BROKERS_MAX,
    GONE,
    PARKED_MAX,
    Key,
    MaintenanceStore,
    ReceiverState,
)

log = logging.getLogger(__name__)

# Interval of parking and counting, and the pause between two portions: the sink and the senders
# use the same disk.
SWEEP_S = 60.0
SWEEP_PAUSE_S = 0.02
# Pause between two portions of deletions: some tens of millions of rows a day without a burst on
# the disk; and the interval when there is nothing to delete.
PRUNE_PAUSE_S = 1.0
PRUNE_S = 600.0
# Other work comes first at the start.
PRUNE_START_S = 5.0

_TOO_MANY = "too many webhooks wait for the receiver"


class Maintenance(ABC):
    """Rounds of work until the stop. Errors of PostgreSQL end a round and nothing else."""

    def __init__(self, database_url: str, every_s: float, start_s: float, work: str) -> None:
        self._database_url = database_url
        self._every_s = every_s
        self._start_s = start_s
        self._work = work
        self._stopping = False
        self._wake = asyncio.Event()
        self._store: MaintenanceStore | None = None

    def stop(self) -> None:
        """End soon. Called on the loop's thread."""
        self._stopping = True
        self._wake.set()
        if self._store is not None:
            self._store.cut()

    def begin_soon(self) -> None:
        """Begin the next round now."""
        self._wake.set()

    async def run(self) -> None:
        """Work until the stop."""
        await self._pause(self._start_s)
        while not self._stopping:
            self._wake.clear()
            try:
                await self._connected_round()
            except psycopg.Error as error:
                if not self._stopping:
                    log.warning("%s later: %s", self._work, outage(error))
            await self._pause(self._every_s)

    async def _connected_round(self) -> None:
        self._store = store = await MaintenanceStore.open(self._database_url)
        try:
            await self._round(store)
        finally:
            self._store = None
            await store.close()

    @abstractmethod
    async def _round(self, store: MaintenanceStore) -> None:
        """One round over all receivers."""

    async def _receivers(self, store: MaintenanceStore) -> AsyncGenerator[ReceiverState]:
        after: str | None = None
        while not self._stopping:
            portion = await store.receivers(after)
            for receiver in portion:
                yield receiver
            if len(portion) < BROKERS_MAX:
                return
            after = portion[-1].broker_id

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return


class Sweeper(Maintenance):
    """Parks webhooks that will not be sent, and counts pending ones.

    Parked are webhooks of a receiver that is gone, webhooks that a failing receiver has not
    accepted for `span_s`, and the oldest above `pending_max` of a broker (0: no limit).
    """

    def __init__(self, database_url: str, span_s: float, pending_max: int) -> None:
        super().__init__(database_url, SWEEP_S, 0.0, "webhooks are parked and counted")
        self._span_s = span_s
        self._pending_max = pending_max

    async def _round(self, store: MaintenanceStore) -> None:
        pending = due = 0
        async with aclosing(self._receivers(store)) as receivers:
            async for receiver in receivers:
                try:
                    pending += await self._sweep(store, receiver)
                    due += receiver.idle and await store.due(receiver.broker_id)
                except QueryCanceled as error:
                    # One broker's rows must not keep those of others from being looked at.
                    log.warning("webhooks of %s: %s", receiver.broker_id, outage(error))
        WEBHOOKS_PENDING.set(pending)
        WEBHOOK_RECEIVERS_DUE.set(due)

    async def _sweep(self, store: MaintenanceStore, receiver: ReceiverState) -> int:
        """Returns the number of webhooks that wait."""
        if receiver.gone:
            await self._park(store, receiver.broker_id, 0.0, GONE)
        elif receiver.failing:
            await self._park(store, receiver.broker_id, self._span_s, None)
        pending = await self._count(store, receiver.broker_id)
        excess = pending - self._pending_max if self._pending_max else 0
        if excess > 0:
            pending -= await self._park(store, receiver.broker_id, 0.0, _TOO_MANY, excess)
        return pending

    async def _park(
        self,
        store: MaintenanceStore,
        broker_id: str,
        span_s: float,
        reason: str | None,
        most: int | None = None,
    ) -> int:
        parked = 0
        after: Key | None = Key()
        while after is not None and parked != most and not self._stopping:
            rows = PARKED_MAX if most is None else min(PARKED_MAX, most - parked)
            portion = await store.park(broker_id, after, span_s, reason, rows)
            parked += portion.changed
            after = portion.after
            await asyncio.sleep(SWEEP_PAUSE_S if after else 0)
        if parked:
            WEBHOOKS_PARKED.inc(parked)
            log.info("parked webhooks", extra={"fields": {"broker_id": broker_id, "rows": parked}})
        return parked

    async def _count(self, store: MaintenanceStore, broker_id: str) -> int:
        pending = 0
        after: Key | None = Key()
        while after is not None and not self._stopping:
            count, after = await store.pending_after(broker_id, after)
            pending += count
        return pending


class Pruner(Maintenance):
    """Deletes deliveries that ended long ago. `keep_days` from a webhook's end, and from its trade,
    until its row is deleted; 0: never.

    The same transaction stores the number of deleted rows and the largest deleted id by broker.
    With these the audit distinguishes a deleted row from a lost one. Rows are found by
    their key: ids begin with the time, so old rows come first in each broker's range.
    """

    def __init__(self, database_url: str, keep_days: int) -> None:
        super().__init__(database_url, PRUNE_S, PRUNE_START_S, "old deliveries are deleted")
        self._keep_days = keep_days

    async def run(self) -> None:
        """Delete until the stop."""
        if self._keep_days:
            await super().run()

    async def _round(self, store: MaintenanceStore) -> None:
        deleted = 0
        try:
            async with aclosing(self._receivers(store)) as receivers:
                async for receiver in receivers:
                    after: Key | None = Key()
                    while after is not None and not self._stopping:
                        portion = await store.prune(receiver.broker_id, after, self._keep_days)
                        deleted += portion.changed
                        after = portion.after
                        await self._pause(PRUNE_PAUSE_S if after else 0)
        finally:
            if deleted:
                log.info("deleted old deliveries", extra={"fields": {"rows": deleted}})
