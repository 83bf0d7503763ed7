"""A receiver's run: errors of the sender are bounded and not counted as the receiver's failures."""

import asyncio

import pytest

from schemas.brokers import WebhookSecret, webhook_secret
from services.webhooks.loop import TURN_S, WebhookLoop
from services.webhooks.outbox import Attempted, ClaimedReceiver, Ended, WebhookDelivery
from services.webhooks.process import receivers_max
from services.webhooks.receiver_run import (
    ERROR_PAUSE_S,
    POSTPONED_S,
    Post,
    ReceiverRun,
    SendPolicy,
)
from services.webhooks.schedule import SECONDS, ReceiverResponse

POLICY = SendPolicy(SECONDS, 1, TURN_S)
BROKER = "00000000-0000-0000-0000-000000000001"
CLAIMED = ClaimedReceiver(
    BROKER,
    "http://a/",
    (WebhookSecret(webhook_secret(b"s" * 32)),),
    failures=1,
    deliveries=tuple(WebhookDelivery(f"{n}", "bid", 0, b"{}", None) for n in range(3)),
)


def run(post: Post) -> tuple[Ended, list[Attempted]]:
    attempted: list[Attempted] = []
    return asyncio.run(ReceiverRun(CLAIMED, POLICY, post, attempted.append).run()), attempted


async def mistaken(url: str, headers: dict[str, str], body: bytes) -> ReceiverResponse:
    raise RuntimeError(f"a mistake of the program: {url}, {headers}, {body!r}")


async def lacking(url: str, headers: dict[str, str], body: bytes) -> ReceiverResponse:
    assert (url, body) == ("http://a/", b"{}")
    assert headers
    return ReceiverResponse(None, "no connection", ours=True)


def test_attempt_ended_by_an_exception_counts_and_pauses() -> None:
    ended, attempted = run(mistaken)
    assert [one.result for one in attempted] == ["retry", "retry"]
    assert attempted[0].answer.error == "not sent: an error of the sender"
    assert ended.failures == 3
    assert ended.pause_s > 0


def test_local_shortage_pauses_without_counting_a_failure() -> None:
    ended, attempted = run(lacking)
    assert attempted == []
    assert ended == Ended(BROKER, 1, POSTPONED_S, False)


def test_aborted_run_releases_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: ReceiverRun) -> Ended:
        raise RuntimeError("a mistake of the program")

    async def one() -> list[Ended]:
        loop = WebhookLoop("postgresql:///none", lacking, POLICY)
        loop._begin(CLAIMED)
        await asyncio.wait(loop._tasks)
        return loop._ended

    monkeypatch.setattr(ReceiverRun, "run", broken)
    assert asyncio.run(one()) == [Ended(BROKER, 2, ERROR_PAUSE_S, False)]


def test_receivers_at_once_fit_into_the_open_files() -> None:
    assert receivers_max(1024, 1) == 384
    assert receivers_max(1024, 8) == 48
    assert receivers_max(100, 64) == 1
