"""Readiness while Kafka is away: a process that also serves reads stays ready."""

from services.ingest.wiring import kafka_check


def test_process_with_reads_stays_ready_while_kafka_is_away() -> None:
    assert kafka_check(False, has_reads=True).ok
    assert "503" in kafka_check(False, has_reads=True).detail


def test_process_without_reads_is_not_ready_while_kafka_is_away() -> None:
    assert not kafka_check(False, has_reads=False).ok
    assert kafka_check(True, has_reads=False).ok
