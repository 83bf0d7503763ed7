"""Positions up to which public records count as published, and the snapshots that fit them."""

from schemas.snapshots import Published, PublishedPosition
from services.matcher.claim import published_up_to
from services.matcher.recovery import LogTopics
from services.runtime.kafka.consumer import LogConsumer, Partition, Range

LOG = LogTopics("", "the log")


class TrimmedLog(LogConsumer):
    """Partitions whose records have all been deleted by retention."""

    def __init__(self) -> None:
        """Skip the connection to a broker."""

    def range(self, partition: Partition) -> Range:
        return Range(40, 40)


def test_published_positions_of_trimmed_topics_cover_those_of_any_snapshot() -> None:
    found = published_up_to(TrimmedLog(), LOG, 0)
    assert found.covers(Published(PublishedPosition(10**12, 9_999), PublishedPosition(10**12)))


def test_published_positions_cover_others_only_if_both_topics_do() -> None:
    older, newer = PublishedPosition(6, 9), PublishedPosition(7, 0)
    assert Published(newer, newer).covers(Published(newer, older))
    assert not Published(newer, older).covers(Published(newer, newer))
    assert not Published(older, newer).covers(Published(newer, newer))
