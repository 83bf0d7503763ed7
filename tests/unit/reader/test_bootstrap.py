"""The start of a reader while Kafka answers, and its partitions have no leaders yet."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from services.reader import bootstrap
from services.reader.app import Reader
from services.reader.bootstrap import ViewBootstrap
from services.reader.database_views import StoredViews
from services.runtime.errors import UnavailableError
from services.runtime.kafka.dispatcher import Ranges, TopicDispatcher


class LateLeaders(TopicDispatcher):
    """Topics whose ends are known from the second request on, or never."""

    def __init__(self, attempts: Iterator[int]) -> None:
        """Skip the connection to a broker."""
        self.attempts = attempts

    def ranges(self) -> Ranges:
        if next(self.attempts):
            return Ranges([], {})
        raise UnavailableError("Failed to query partition leaders")


def wait(topics: TopicDispatcher) -> None:
    stored = StoredViews.__new__(StoredViews)
    reader = cast(Reader, None)
    starting = ViewBootstrap(lambda: stored, topics, reader, failed=lambda error: None)
    asyncio.run(starting._wait_for_leaders())


def test_reader_waits_for_the_leaders_of_its_partitions() -> None:
    topics = LateLeaders(iter([0, 0, 1, 1]))
    wait(topics)
    assert list(topics.attempts) == [1]


def test_reader_does_not_wait_for_leaders_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "LEADERS_S_MAX", 0.0)
    with pytest.raises(UnavailableError, match="partition leaders"):
        wait(LateLeaders(iter([0, 0, 0])))
