"""Webhook receivers of all brokers, on one port with a path per broker. Webhooks with a wrong
signature are rejected and recorded.
"""

from collections.abc import Sequence
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

from conformance.receiver import Received, Receiver, Reply
from schemas.rest import Registration
from tests.chaos.webhook_check import ReceivedWebhook

_ACCEPTED: Final = Reply(200)
_UNAVAILABLE: Final = Reply(503)
_REJECTED: Final = Reply(400)


class WebhookReceivers:
    """HTTP receivers, which run until the end of `with`.

    `refuse_one_in`: one new webhook in so many is answered 503 once before it is accepted; 0: none.
    """

    def __init__(self, refuse_one_in: int = 0) -> None:
        self.received: list[ReceivedWebhook] = []
        self.unverified: list[str] = []
        self._refuse_one_in = refuse_one_in
        self._seen: dict[str, int] = {}
        self._brokers: dict[str, Registration] = {}
        self._receiver = Receiver(self._answer)
        self.port = self._receiver.port

    def __enter__(self) -> "WebhookReceivers":
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.close()

    def url(self, number: int, port: int) -> str:
        """The URL of a broker, at a port that is forwarded to this receiver."""
        return f"http://127.0.0.1:{port}/{number}"

    def set_brokers(self, brokers: Sequence[Registration]) -> None:
        """Set the brokers by number; those with a webhook secret have a receiver."""
        self._brokers = {
            f"/{number}": broker
            for number, broker in enumerate(brokers)
            if isinstance(broker.webhook_secret, str)
        }

    @property
    def with_webhook(self) -> set[str]:
        """The ids of the brokers with a webhook URL."""
        return {broker.broker_id for broker in self._brokers.values()}

    def _answer(self, request: Received) -> Reply:
        broker = self._brokers.get(request.path)
        if broker is None:
            self.unverified.append(f"{request.webhook_id} was sent to unknown {request.path}")
            return _REJECTED
        try:
            Webhook(str(broker.webhook_secret)).verify(request.body, request.headers)
        except WebhookVerificationError as error:
            self.unverified.append(f"{broker.broker_id} {request.webhook_id}: {error}")
            return _REJECTED
        number = self._seen.setdefault(request.webhook_id, len(self._seen) + 1)
        if self._refuse_one_in and number % self._refuse_one_in == 0:
            # Accepted when it is sent again: 1 is never refused.
            self._seen[request.webhook_id] = 1
            return _UNAVAILABLE
        self.received.append(ReceivedWebhook(broker.broker_id, request.webhook_id, request.body))
        return _ACCEPTED
