"""The durability measurement: each command is acknowledged exactly once and has a time."""

import pytest

from benchmarks.experiments.durability import Line
from schemas.topology import Durability
from tests.support.servers import KafkaServer

RATE = 200
SECONDS = 0.5


@pytest.mark.parametrize("mode", ["process", "fsync"])
def test_measured_mode_at_a_steady_rate_has_a_time_for_each_command(
    kafka: KafkaServer, mode: Durability
) -> None:
    line = Line(kafka.bootstrap_servers, mode)

    times_ms = line.run([b"{}"], RATE, SECONDS)

    assert line.failed == 0
    assert len(times_ms) == RATE * SECONDS
    assert min(times_ms) > 0
