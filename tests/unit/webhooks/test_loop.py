"""The sender's loop: readiness by the age of its last claim, and how far a claim looks back."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest
from psycopg.errors import QueryCanceled

from services.webhooks.floors import FULL_LOOK_S
from services.webhooks.loop import CLAIM_AGE_S_MAX, TURN_S, WebhookLoop
from services.webhooks.outbox import ClaimedReceiver, WebhookDelivery
from services.webhooks.receiver_run import SendPolicy
from services.webhooks.schedule import SECONDS, ReceiverResponse
from services.webhooks.store import RECEIVERS_MAX, WebhookStore


async def post(url: str, headers: dict[str, str], body: bytes) -> ReceiverResponse:
    raise AssertionError(f"nothing is sent: {url}, {headers}, {body!r}")


def test_loop_is_ready_while_its_last_claim_is_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = WebhookLoop("postgresql:///none", post, SendPolicy(SECONDS, 1, TURN_S))
    assert not loop.claiming().ok
    loop._claimed_at = now = time.monotonic()
    assert loop.claiming().ok
    monkeypatch.setattr(time, "monotonic", lambda: now + CLAIM_AGE_S_MAX + 1)
    assert not loop.claiming().ok
    assert loop.claiming().detail == f"last claim {CLAIM_AGE_S_MAX + 1:.1f} s ago"


class Outbox(WebhookStore):
    """Returns one receiver with one webhook, and records the floors of each claim."""

    def __init__(self) -> None:
        self.floors: list[Mapping[str, str]] = []
        self.cancels = False

    async def claim(
        self,
        busy: Sequence[str],
        receivers: int = RECEIVERS_MAX,
        floors: Mapping[str, str] | None = None,
    ) -> list[ClaimedReceiver]:
        self.floors.append(dict(floors or {}))
        if self.cancels:
            raise QueryCanceled("canceling statement due to statement timeout")
        delivery = WebhookDelivery("an id", "bid", 0, b"{}", None)
        return [ClaimedReceiver("a broker", "http://a/", (), 0, (delivery,))]


def test_full_look_runs_at_intervals_even_when_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def looks() -> list[Mapping[str, str]]:
        loop = WebhookLoop("postgresql:///none", post, SendPolicy(SECONDS, 1, TURN_S))
        outbox, now = Outbox(), time.monotonic()
        for at_s in (0.0, 0.1, 0.2, FULL_LOOK_S + 0.1):
            monkeypatch.setattr(time, "monotonic", lambda at=now + at_s: at)
            await loop._look_for(outbox, 1)
        outbox.cancels = True
        monkeypatch.setattr(time, "monotonic", lambda: now + 10)
        with pytest.raises(QueryCanceled):
            await loop._look_for(outbox, 1)
        outbox.cancels = False
        await loop._look_for(outbox, 1)
        return outbox.floors

    above = {"a broker": "an id"}
    assert asyncio.run(looks()) == [{}, above, above, {}, {}, above]
