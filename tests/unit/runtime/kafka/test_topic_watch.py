"""Topics that are deleted, or made again, while a service uses them."""

import pytest

from services.runtime.errors import TopicsError
from services.runtime.kafka.topic_watch import MISSING_IN_A_ROW, TopicHistory

BEFORE = {"commands": "1", "executions": "2"}


def test_unchanged_topics_pass() -> None:
    history = TopicHistory()
    for _ in range(10):
        history.observe(BEFORE)


def test_recreated_topic_is_reported_by_name() -> None:
    history = TopicHistory()
    history.observe(BEFORE)
    with pytest.raises(TopicsError, match="topic executions was deleted and made again"):
        history.observe(BEFORE | {"executions": "3"})


def test_topic_is_deleted_only_after_several_answers_without_it() -> None:
    history = TopicHistory()
    history.observe(BEFORE)
    missing = {"commands": "1", "executions": None}
    for _ in range(MISSING_IN_A_ROW - 1):
        history.observe(missing)
    # A broker that had just started did not know it yet.
    history.observe(BEFORE)
    for _ in range(MISSING_IN_A_ROW - 1):
        history.observe(missing)
    with pytest.raises(TopicsError, match="topic executions was deleted; stop every service"):
        history.observe(missing)
