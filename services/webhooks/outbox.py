"""Values exchanged between the outbox and the sender. Pure."""

from msgspec import Struct

from schemas.brokers import WebhookSecret
from schemas.webhooks import Kind, delivery_id
from services.webhooks.schedule import ReceiverResponse, Result


class WebhookDelivery(Struct, frozen=True):
    """One webhook that is due. `attempts` before this one; `happened_ms`: time of its trade, None
    for a test."""

    event_id: str
    kind: Kind
    attempts: int
    body: bytes
    happened_ms: int | None

    @property
    def webhook_id(self) -> str:
        """The id of this webhook, equal in all its attempts."""
        return delivery_id(self.event_id, self.kind)


class ClaimedReceiver(Struct, frozen=True):
    """A receiver leased to this sender, and its first due webhooks in order.

    `failures`: attempts in a row that failed.
    """

    broker_id: str
    url: str
    secrets: tuple[WebhookSecret, ...]
    failures: int
    deliveries: tuple[WebhookDelivery, ...]


class Attempted(Struct, frozen=True):
    """Result of an attempt. `delay_s` until the next one, if `result` is retry."""

    broker_id: str
    delivery: WebhookDelivery
    answer: ReceiverResponse
    result: Result
    delay_s: float


class Ended(Struct, frozen=True):
    """End of a lease, with the receiver's new state."""

    broker_id: str
    failures: int
    pause_s: float
    gone: bool
