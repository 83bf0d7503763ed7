"""The brokers' receivers, at one port: each broker has a path of its own. What is not signed as it
must be is refused, and told of.
"""

from collections.abc import Sequence
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

from conformance.receiver import Received, Receiver, Reply
from schemas.rest import Registration
from tests.chaos.notices import Told

_TAKEN: Final = Reply(200)
_NOT_NOW: Final = Reply(503)
_REFUSED: Final = Reply(400)


class WebhookReceivers:
    """Listening inside of `with`.

    `refuse_one_in`: so many new webhooks are each refused once before they are taken; 0: none.
    """

    def __init__(self, refuse_one_in: int = 0) -> None:
        self.told: list[Told] = []
        self.unverified: list[str] = []
        self._refuse_one_in = refuse_one_in
        self._seen: dict[str, int] = {}
        self._brokers: dict[str, Registration] = {}
        self._receiver = Receiver(self._take)
        self.port = self._receiver.port

    def __enter__(self) -> "WebhookReceivers":
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.close()

    def url(self, number: int, port: int) -> str:
        """Of this broker, by a port that leads here."""
        return f"http://127.0.0.1:{port}/{number}"

    def know(self, brokers: Sequence[Registration]) -> None:
        """Who listens under which number; those with a secret do."""
        self._brokers = {
            f"/{number}": broker
            for number, broker in enumerate(brokers)
            if isinstance(broker.webhook_secret, str)
        }

    @property
    def with_webhook(self) -> set[str]:
        """The ids of those who have a URL."""
        return {broker.broker_id for broker in self._brokers.values()}

    def _take(self, came: Received) -> Reply:
        broker = self._brokers.get(came.path)
        if broker is None:
            self.unverified.append(f"{came.webhook_id} came to {came.path}, where nobody listens")
            return _REFUSED
        try:
            Webhook(str(broker.webhook_secret)).verify(came.body, came.headers)
        except WebhookVerificationError as error:
            self.unverified.append(f"{broker.broker_id} {came.webhook_id}: {error}")
            return _REFUSED
        number = self._seen.setdefault(came.webhook_id, len(self._seen) + 1)
        if self._refuse_one_in and number % self._refuse_one_in == 0:
            # The next time it is another one.
            self._seen[came.webhook_id] = 1
            return _NOT_NOW
        self.told.append(Told(broker.broker_id, came.webhook_id, came.body))
        return _TAKEN
