"""Deletes deliveries that ended long ago, a few at a time, on a separate connection.

The same transaction counts what it deletes, by broker and up to which id, so that the audit can
tell whether the row of a trade's side exists, was deleted, or is lost. Rows are found by their
key: ids begin with the time, so old rows come first in each broker's range. No receiver and no
pending row is locked.
"""

import asyncio
import logging

import psycopg

from services.runtime.postgres.errors import outage
from services.webhooks.store import PRUNED_MAX, WebhookStore

log = logging.getLogger(__name__)

# Pause between two statements: some tens of millions of rows a day without a burst on the disk.
PAUSE_S = 1.0
# Pause when there is nothing to delete, also at the start, when other work comes first.
LOOK_S = 600.0
START_S = 5.0


class Pruner:
    """`keep_days` from a webhook's end, and from its trade, until its row is deleted; 0: never."""

    def __init__(self, database_url: str, keep_days: int) -> None:
        self._database_url = database_url
        self._keep_days = keep_days
        self._stopping = asyncio.Event()
        self._store: WebhookStore | None = None

    def stop(self) -> None:
        """End soon. Called on the loop's thread."""
        self._stopping.set()
        if self._store is not None:
            self._store.cut()

    async def run(self) -> None:
        """Delete until the stop. Its errors end nothing else: webhooks are sent without it."""
        if not self._keep_days:
            return
        await self._pause(START_S)
        while not self._stopping.is_set():
            try:
                await self._prune()
            except psycopg.Error as error:
                log.warning("old deliveries stay for now: %s", outage(error))
            await self._pause(LOOK_S)

    async def _prune(self) -> None:
        deleted = 0
        self._store = store = await WebhookStore.open(self._database_url)
        try:
            count = PRUNED_MAX
            while count == PRUNED_MAX and not self._stopping.is_set():
                count = await store.prune(self._keep_days)
                deleted += count
                await self._pause(PAUSE_S if count == PRUNED_MAX else 0)
        finally:
            self._store = None
            await store.close()
            if deleted:
                log.info("deleted old deliveries", extra={"fields": {"rows": deleted}})

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
