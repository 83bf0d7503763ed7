"""Records that the Kafka client refuses at once: nothing is written, the caller gets an error."""

import pytest

from schemas.topics import RECORD_BYTES_MAX
from services.runtime.errors import DeliveryError, ExchangeError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.producer import FailFastSender, NotQueuedError, Sender
from tests.support.servers import KafkaServer

TOO_LARGE = b"x" * (RECORD_BYTES_MAX + 1)


def test_sender_refuses_a_record_that_is_too_large_and_continues(kafka: KafkaServer) -> None:
    failures: list[ExchangeError] = []
    results: list[str] = []
    access = KafkaAccess(kafka.bootstrap_servers)
    sender = Sender(access, linger_ms=0, timeout_ms=10_000, failed=failures.append)
    with pytest.raises(NotQueuedError, match="too large"):
        sender.send("nowhere", 0, None, TOO_LARGE, results.append)
    assert sender.available
    sender.close()
    assert (results, failures) == ([], [])


def test_fail_fast_sender_raises_a_delivery_error_for_a_record_too_large(
    kafka: KafkaServer,
) -> None:
    sender = FailFastSender(KafkaAccess(kafka.bootstrap_servers), linger_ms=0)
    with pytest.raises(DeliveryError, match=r"a record was not taken: .*too large"):
        sender.send("nowhere", 0, None, TOO_LARGE)
