"""Readiness of the sink: the age of its last round, not the connection alone."""

import time

import pytest

from schemas.topology import Topology
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topic_identity import LogIdentity
from services.runtime.lifecycle import Stop
from services.sink.loop import ROUND_AGE_S_MAX, Sink, Source


def test_sink_is_ready_while_its_last_round_is_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    topology = Topology(prefix="", partitions=1, durability="process")
    source = Source(KafkaAccess("127.0.0.1:1"), topology, LogIdentity("a", "b", "c"))
    sink = Sink(source, "postgresql:///none", Stop())
    assert sink.storing().detail == "no round yet"
    assert not sink.storing().ok
    sink._round_at = now = time.monotonic()
    assert sink.storing().ok
    monkeypatch.setattr(time, "monotonic", lambda: now + ROUND_AGE_S_MAX + 1)
    assert not sink.storing().ok
