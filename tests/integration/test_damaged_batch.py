"""A stored batch with a changed byte: a reader stops and names the place, instead of reading on."""

from contextlib import closing
from pathlib import Path

import pytest

from infra.broker import LocalKafka
from schemas.topics import COMMANDS
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.producer import append
from services.runtime.kafka.topics import TopicsAdmin


def test_damaged_batch_stops_the_reader_at_its_offset(tmp_path: Path) -> None:
    with LocalKafka(tmp_path) as kafka:
        access = KafkaAccess(kafka.bootstrap_servers)
        TopicsAdmin(access, "").apply(1, "process")
        for price in (b"3711", b"3712", b"3713"):
            append(access, COMMANDS.name, 0, b"k", b'{"price":' + price + b"}")
    damage(tmp_path, b"3712", b"9712")
    with LocalKafka(tmp_path) as kafka:
        access = KafkaAccess(kafka.bootstrap_servers)
        found: list[bytes | None] = []
        with closing(LogReader(access, Partition(COMMANDS.name, 0))) as reader:
            where = f"{COMMANDS.name}/0 at offset 1 holds a damaged batch"
            with pytest.raises(BrokenLogError, match=where):
                found.extend(record.value for record in reader.records())
        assert b'{"price":9712}' not in found


def damage(data_dir: Path, stored: bytes, other: bytes) -> None:
    """Replace bytes in the segment that contains them."""
    (segment,) = (
        path
        for path in data_dir.rglob("*.log")
        if stored in path.read_bytes() and COMMANDS.name in str(path)
    )
    segment.write_bytes(segment.read_bytes().replace(stored, other))
