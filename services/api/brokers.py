"""Brokers from the brokers topic: by key for authentication, by id for names."""

import hmac
import logging
from typing import Literal

from schemas.brokers import Broker, key_hash
from schemas.codec import UnreadableError, decode_broker

log = logging.getLogger(__name__)

ADMIN: Literal["admin"] = "admin"
Caller = Broker | Literal["admin"]


class BrokerDirectory:
    """The brokers and the admin key, if this process has admin calls. Lives on one thread."""

    def __init__(self, admin_key: str | None) -> None:
        self._admin_hash = None if admin_key is None else key_hash(admin_key)
        self._by_hash: dict[str, Broker] = {}
        self._by_id: dict[str, Broker] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record. An unreadable one, written by another program, is logged and
        skipped."""
        broker_id = (key or b"").decode(errors="replace")
        if value is None:
            self._forget(broker_id)
            return
        try:
            self.add(decode_broker(value))
        except UnreadableError as error:
            log.error("unreadable broker record", extra={"fields": {"reason": str(error)}})

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
        hashed = key_hash(api_key)
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
