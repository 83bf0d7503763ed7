"""Position up to which public records count as published when the topic has been trimmed."""

from schemas.topics import TRADES
from services.matcher.claim import PublishedPosition, published_up_to
from services.runtime.kafka.consumer import LogConsumer, Partition, Range


class TrimmedLog(LogConsumer):
    """A partition whose records have all been deleted by retention."""

    def __init__(self) -> None:
        """Skip the connection to a broker."""

    def range(self, partition: Partition) -> Range:
        return Range(40, 40)


def test_published_position_of_a_trimmed_topic_covers_every_trade_with_an_outcome_only() -> None:
    mark = published_up_to(TrimmedLog(), Partition(TRADES.name, 0), next_command=7)
    assert not PublishedPosition(6, 9_999) > mark
    assert PublishedPosition(7, 0) > mark
