"""The durability measurement: each command is acknowledged exactly once and has a time."""

import pytest

from benchmarks.acknowledgements import AcknowledgementProbe
from schemas.topology import Durability
from tests.support.servers import KafkaServer

RATE = 200
SECONDS = 0.5


@pytest.mark.parametrize("mode", ["process", "fsync"])
def test_measured_mode_at_a_steady_rate_has_a_time_for_each_command(
    kafka: KafkaServer, mode: Durability
) -> None:
    probe = AcknowledgementProbe(kafka.bootstrap_servers, mode)

    times_ms = probe.run([b"{}"], RATE, SECONDS)

    assert probe.failed == 0
    assert len(times_ms) == RATE * SECONDS
    assert min(times_ms) > 0
