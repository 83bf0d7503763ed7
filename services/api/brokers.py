"""Brokers from the brokers topic: by key for authentication, by id for names."""

import asyncio
import hmac
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from schemas.broker_records import BrokerRecords
from schemas.brokers import Broker, key_hash
from schemas.codec import UnreadableError
from schemas.topics import BROKERS
from services.runtime.metrics import QUARANTINED

log = logging.getLogger(__name__)

# Bounds of the hashes that are remembered, those of wrong keys too. Issued keys are shorter.
_HASHES_MAX = 1_024
_REMEMBERED_CHARS_MAX = 128
ADMIN: Literal["admin"] = "admin"
Caller = Broker | Literal["admin"]


class BrokerDirectory:
    """The brokers and the admin key, if this process has admin calls. Lives on one thread."""

    def __init__(self, admin_key: str | None) -> None:
        # From zero, so that the first one counts as an increase.
        QUARANTINED.labels(BROKERS.name)
        self._admin_hash = None if admin_key is None else key_hash(admin_key)
        self._by_hash: dict[str, Broker] = {}
        # A hash depends on nothing but its key. Whether it is valid is looked up each time.
        self._hash_of = lru_cache(_HASHES_MAX)(key_hash)
        self._by_id: dict[str, Broker] = {}
        self._records = BrokerRecords()
        # Set and replaced with each record, for requests that wait for their own.
        self._applied = asyncio.Event()

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record. An unreadable one, written by another program, is logged and
        skipped."""
        try:
            broker_id = self._records.apply(key, value)
        except UnreadableError as error:
            log.error("unreadable broker record", extra={"fields": {"reason": str(error)}})
            QUARANTINED.labels(BROKERS.name).inc()
            return
        broker = self._records.get(broker_id)
        if broker is None:
            self._forget(broker_id)
        else:
            self.add(broker)
        self._applied.set()
        self._applied = asyncio.Event()

    async def wait_until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the records applied so far make `holds` true; False after the time-out."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self._applied.wait()
        except TimeoutError:
            return False
        return True

    def get(self, broker_id: str) -> Broker | None:
        """The broker; None if unknown."""
        return self._by_id.get(broker_id)

    def ended_secrets(self, broker_id: str) -> list[str]:
        """Keys of records with webhook secrets of this broker that no longer count."""
        return self._records.ended_secrets(broker_id)

    def add(self, broker: Broker) -> None:
        """Add or replace a broker; keys that the new record does not contain are no longer
        valid."""
        self._forget(broker.broker_id)
        self._by_id[broker.broker_id] = broker
        if broker.revoked_at is not None:
            return
        self._by_hash[broker.api_key_hash] = broker
        if broker.former_key_hash is not None:
            self._by_hash[broker.former_key_hash] = broker

    def _forget(self, broker_id: str) -> None:
        former = self._by_id.pop(broker_id, None)
        if former is not None:
            self._by_hash.pop(former.api_key_hash, None)
            self._by_hash.pop(former.former_key_hash or "", None)

    def caller(self, api_key: str, now_ms: int) -> Caller | None:
        """The holder of this key; None if there is none."""
        is_short = len(api_key) <= _REMEMBERED_CHARS_MAX
        hashed = self._hash_of(api_key) if is_short else key_hash(api_key)
        broker = self._by_hash.get(hashed)
        if broker is not None:
            if hashed == broker.api_key_hash or now_ms < (broker.former_key_until or 0):
                return broker
            return None
        if self._admin_hash is None:
            return None
        return ADMIN if hmac.compare_digest(hashed, self._admin_hash) else None

    def name(self, broker_id: str) -> str | None:
        """The broker's name; None if unknown."""
        broker = self._by_id.get(broker_id)
        return None if broker is None else broker.name

    def __len__(self) -> int:
        return len(self._by_id)
