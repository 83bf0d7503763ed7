"""Claims, positions up to which public records count as published, and the snapshots that fit."""

import pytest

from schemas.executions import RULES_LEVEL, LevelClaim, epoch_of
from schemas.snapshots import Published, PublishedPosition
from services.matcher.claim import append_claim, published_up_to
from services.matcher.recovery import LogTopics
from services.runtime.errors import DeliveryError
from services.runtime.kafka.consumer import LogConsumer, Partition, Range
from tests.simulation.memory_log import MemoryLog, MemorySender

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


CLAIM = LevelClaim("m", RULES_LEVEL, 77)
EXECUTIONS = Partition("executions", 2)


def test_epoch_of_a_claim_comes_from_where_it_is_in_the_log() -> None:
    log = MemoryLog(0)
    log.append(EXECUTIONS, b"{}")
    assert append_claim(MemorySender(log), log, EXECUTIONS, CLAIM) == epoch_of(CLAIM, 1)


class LosingSender(MemorySender):
    """A sender whose records are acknowledged, and lost in a power cut."""

    def flush(self) -> None:
        self.drop()


def test_claim_that_is_lost_at_once_is_an_error() -> None:
    log = MemoryLog(0)
    log.append(EXECUTIONS, b"{}")
    with pytest.raises(DeliveryError, match="executions/2 has lost the claim"):
        append_claim(LosingSender(log), log, EXECUTIONS, CLAIM)
