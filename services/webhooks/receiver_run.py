"""Sends one receiver's due webhooks in order, until they are sent, time is up, or the receiver is
paused. Independent of other runs, so that none waits for another."""

import asyncio
import logging
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Protocol

from msgspec import Struct

from services.runtime.clock import now_ms
from services.runtime.logging_setup import RateLimit
from services.runtime.metrics import WEBHOOK_AGE_SECONDS, WEBHOOK_SECONDS, WEBHOOKS
from services.webhooks.outbox import Attempted, ClaimedReceiver, Ended, WebhookDelivery
from services.webhooks.schedule import Policy, ReceiverResponse, judge
from services.webhooks.signature import signed_headers, valid_secrets

log = logging.getLogger(__name__)
# A cause that all receivers share would give a line for each of them.
log.addFilter(RateLimit(lines_per_minute=12))

# Pause of a receiver after an error of the program, and while this machine lacks something.
ERROR_PAUSE_S = 60.0
POSTPONED_S = 5.0
# For jitter only.
_random = SystemRandom()


class Post(Protocol):
    """Sends one request; implemented by `WebhookSender.post`."""

    async def __call__(
        self, url: str, headers: dict[str, str], body: bytes
    ) -> ReceiverResponse: ...


class SendPolicy(Struct, frozen=True):
    """`concurrency`: a receiver's webhooks in progress at once. `turn_s`: no attempt begins
    later. `receivers_max`: receivers at once, so that open files suffice."""

    policy: Policy
    concurrency: int
    turn_s: float
    receivers_max: int = 1_000


class ReceiverRun:
    """`on_attempt` receives each attempt as it ends."""

    def __init__(
        self,
        claimed: ClaimedReceiver,
        send_policy: SendPolicy,
        post: Post,
        on_attempt: Callable[[Attempted], None],
    ) -> None:
        self._claimed = claimed
        self._send_policy = send_policy
        self._post = post
        self._on_attempt = on_attempt
        self._failures = claimed.failures
        self._pause_s = 0.0
        self._gone = False
        self._over = False

    def failed(self) -> Ended:
        """The end of a run that was broken off by an error of the program.

        The pause, and the failure that makes old webhooks be parked, bound its repetition.
        """
        return Ended(self._claimed.broker_id, self._failures + 1, ERROR_PAUSE_S, False)

    def end(self) -> None:
        """Begin no further attempt."""
        self._over = True

    async def run(self) -> Ended:
        """Send all that is due, as far as time and receiver permit."""
        waiting = iter(self._claimed.deliveries)
        until = time.monotonic() + self._send_policy.turn_s

        async def lane() -> None:
            # The lanes share one iterator, so attempts begin in order.
            for delivery in waiting:
                if self._over or time.monotonic() > until:
                    return
                await self._attempt(delivery)

        # After a failure a single webhook probes whether the receiver is back.
        lanes = 1 if self._failures else self._send_policy.concurrency
        await asyncio.gather(*(lane() for _ in range(lanes)))
        return Ended(self._claimed.broker_id, self._failures, self._pause_s, self._gone)

    async def _attempt(self, delivery: WebhookDelivery) -> None:
        begun = time.perf_counter()
        try:
            answer = await self._send(delivery)
        except Exception:
            # Counts as a failed attempt: a webhook that breaks the sender is parked in the end.
            log.exception("an attempt was broken off")
            answer = ReceiverResponse(None, "not sent: an error of the sender")
        if answer.ours:
            # Not the receiver's failure: nothing is counted, and the rest waits as well.
            log.warning("webhooks wait: the sender lacks files, ports or memory")
            WEBHOOKS.labels("postponed").inc()
            self._pause_s = max(self._pause_s, POSTPONED_S)
            self._over = True
            return
        verdict = judge(
            answer,
            self._send_policy.policy,
            attempts=delivery.attempts + 1,
            failures=self._failures,
            jitter=_random.random(),
        )
        WEBHOOK_SECONDS.observe(time.perf_counter() - begun)
        WEBHOOKS.labels(verdict.result).inc()
        if verdict.result == "delivered" and delivery.happened_ms is not None:
            WEBHOOK_AGE_SECONDS.observe(max(0.0, time.time() - delivery.happened_ms / 1000))
        self._failures = verdict.failures
        self._pause_s = verdict.pause_s
        self._gone = self._gone or verdict.result == "gone"
        self._over = self._over or verdict.pause_s > 0 or self._gone
        broker_id = self._claimed.broker_id
        self._on_attempt(Attempted(broker_id, delivery, answer, verdict.result, verdict.delay_s))

    async def _send(self, delivery: WebhookDelivery) -> ReceiverResponse:
        sent_ms = now_ms()
        secrets = valid_secrets(self._claimed.secrets, sent_ms)
        if not secrets:
            return ReceiverResponse(
                None, "there is no secret to sign with: POST /webhooks/secret/rotate"
            )
        headers = signed_headers(delivery.webhook_id, sent_ms // 1000, delivery.body, secrets)
        return await self._post(self._claimed.url, headers, delivery.body)
