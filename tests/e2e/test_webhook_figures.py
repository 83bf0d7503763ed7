"""The webhook benchmark: its verifying receiver, and a small run with a killed sender."""

import time
import urllib.request
from pathlib import Path

import msgspec
import pytest

from benchmarks.webhooks.__main__ import main
from benchmarks.webhooks.figures import ReceivedWebhooks
from benchmarks.webhooks.receiver import WebhookReceiver, running_receiver
from conformance.api import eventually
from schemas.brokers import webhook_secret
from services.runtime.readiness import DIRECT
from services.webhooks.signature import signed_headers

SECRETS = [webhook_secret(bytes([number]) * 24) for number in range(2)]


def post(url: str, webhook_id: str, secret: str) -> int:
    body = b'{"event":"test"}'
    headers = signed_headers(webhook_id, int(time.time()), body, [secret])
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - a URL of the receiver
    with DIRECT.open(request, timeout=60) as answer:
        return int(answer.status)


def recorded(receiver: WebhookReceiver, count: int) -> ReceivedWebhooks:
    eventually("all are recorded", lambda: len(receiver.received().ids) == count, 60)
    return receiver.received()


def test_receiver_records_each_webhook_and_counts_wrong_signatures() -> None:
    with running_receiver() as receiver:
        receiver.set_secrets(SECRETS)
        begun_us = time.time_ns() // 1_000
        assert post(receiver.url(0), "one", SECRETS[0]) == 200
        assert post(receiver.url(1), "two", SECRETS[1]) == 200
        assert post(receiver.url(1), "two", SECRETS[1]) == 200
        found = recorded(receiver, 3)
        assert (found.brokers, found.ids, found.wrong) == ([0, 1, 1], ["one", "two", "two"], 0)
        assert begun_us <= found.at_us[0] <= found.at_us[1] <= time.time_ns() // 1_000
        # Signed with another broker's secret, then sent to a broker that is not registered.
        assert post(receiver.url(0), "three", SECRETS[1]) == 200
        assert post(receiver.url(7), "four", SECRETS[1]) == 200
        assert recorded(receiver, 5).wrong == 2


@pytest.mark.timeout(400)
def test_benchmark_with_a_killed_sender_loses_no_webhook(tmp_path: Path) -> None:
    code = main(
        ["--scale", "10", "--duration", "8", "--kill-every", "2", "--report", str(tmp_path)]
    )
    found = msgspec.json.decode((tmp_path / "webhooks.json").read_bytes())
    # 98: a busy machine made the generator late, which loses no webhook.
    assert code in (0, 98), found
    figures = found["figures"]
    assert figures["expected"] == figures["delivered"] > 20
    assert (figures["lost"], figures["foreign"], figures["wrong_signatures"]) == (0, 0, 0)
    assert figures["kills"] >= 2
    assert figures["away_us"]["count"] >= 1
    assert figures["trade_to_webhook_us"]["p50"] > 0
    assert found["audit"] == "holds"
    assert found["cpu_us"]["sender"] > 0


@pytest.mark.parametrize(
    "arguments", [["--kill-every", "-1"], ["--drain", "0"], ["--scale", "0"], ["--profile", "no"]]
)
def test_benchmark_with_invalid_arguments_is_a_usage_error(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--report", str(tmp_path)]) == 2
    assert arguments[0] in capsys.readouterr().err
