"""What the outbox hands to its sender, and what it is told back. Pure."""

from msgspec import Struct

from schemas.brokers import WebhookSecret
from schemas.webhooks import Kind, delivery_id
from services.webhooks.schedule import Answer, Result


class Delivery(Struct, frozen=True):
    """One webhook that is due. `attempts` before this one; `happened_ms`: when its trade was made,
    None for a test."""

    event_id: str
    kind: Kind
    attempts: int
    body: bytes
    happened_ms: int | None

    @property
    def webhook_id(self) -> str:
        """The same over all attempts."""
        return delivery_id(self.event_id, self.kind)


class Claimed(Struct, frozen=True):
    """A receiver that is ours for the length of a lease, and its first webhooks in their order.

    `failures`: attempts in a row that failed.
    """

    broker_id: str
    url: str
    secrets: tuple[WebhookSecret, ...]
    failures: int
    deliveries: tuple[Delivery, ...]


class Attempted(Struct, frozen=True):
    """What came of the attempt. `delay_s` until the next one, where `result` is retry."""

    broker_id: str
    delivery: Delivery
    answer: Answer
    result: Result
    delay_s: float


class Ended(Struct, frozen=True):
    """The receiver is given back as it was found."""

    broker_id: str
    failures: int
    pause_s: float
    gone: bool
