"""`docs/topics.md`: its table matches the topics, and its examples are golden messages."""

import re
from pathlib import Path
from typing import Final

import pytest

from schemas.topics import TOPICS, Topic
from schemas.topology import Topology

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "topics.md").read_text()
DAY_MS: Final = 24 * 60 * 60 * 1000
GIB: Final = 1024**3


def kept(topic: Topic) -> str:
    """Retention policy of a topic in words."""
    if topic.config["cleanup.policy"] == "compact":
        return "the last of each key"
    size, age = topic.config.get("retention.bytes", "-1"), int(topic.config["retention.ms"])
    if size != "-1":
        return f"{int(size) // GIB} GiB a partition"
    return "forever" if age < 0 else f"{age // DAY_MS} days"


def row(topic: Topic) -> str:
    """Row of a topic in the table."""
    count = Topology("", 4096, "fsync").partitions_of(topic)
    cells = [
        f"`{topic.name}`",
        topic.key,
        ", ".join(f"`{message.__name__}`" for message in topic.messages),
        "the exchange's" if count == 4096 else str(count),
        kept(topic),
        topic.writer,
        ", ".join(topic.readers),
    ]
    return f"| {' | '.join(cells)} |"


def test_page_table_has_a_row_for_each_topic_and_no_other() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == [row(topic) for topic in TOPICS]


@pytest.mark.parametrize("line", re.findall(r"^    (\{\"symbol\".*\})$", PAGE, re.MULTILINE))
def test_page_example_is_a_golden_message(line: str) -> None:
    golden = [path.read_text() for path in (ROOT / "schemas" / "examples").glob("*.json")]
    assert line in golden
