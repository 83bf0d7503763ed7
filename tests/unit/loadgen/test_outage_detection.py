"""Detection of an exchange that stopped answering, as opposed to a quiet one."""

from loadgen.client.record import NO_ANSWER, Records, RequestRecord, RequestResult
from loadgen.outage_detection import OutageDetector


def line(status: int) -> RequestRecord:
    return RequestRecord("order", 0, 0, 0, RequestResult(status), 0, "")


def test_silence_exceeds_its_limit_when_much_was_sent_and_nothing_answered() -> None:
    silence, records = OutageDetector(3), Records()
    assert not silence.over(0, 0, records)
    records.add(line(201))
    assert not silence.over(1, 5, records)
    for _ in range(20):
        records.add(line(NO_ANSWER))
    assert not silence.over(3.9, 25, records)
    assert silence.over(4, 25, records)


def test_silence_of_a_slow_flow_never_exceeds_its_limit() -> None:
    silence = OutageDetector(3)
    assert not silence.over(0, 0, Records())
    assert not silence.over(100, 0, Records())
    assert not silence.over(101, 5, Records())
    assert not silence.over(110, 9, Records())


def test_silence_ends_with_any_answer() -> None:
    silence, records = OutageDetector(3), Records()
    for second in range(20):
        records.add(line(503))
        assert not silence.over(second, 50 * second, records)
