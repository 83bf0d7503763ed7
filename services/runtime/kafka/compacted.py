"""Reads a compacted topic of one partition to its end: the last record of each key."""

from contextlib import closing

from schemas.topics import Topic
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.settings import Settings


def last_records(settings: Settings, topic: Topic) -> dict[str, bytes]:
    """Last value by key, in the order of the keys' last records; deleted keys are left out."""
    found: dict[str, bytes] = {}
    partition = Partition(topic.full_name(settings.topic_prefix), 0)
    with closing(LogReader(kafka_access(settings), partition)) as reader:
        for record in reader.records():
            key = (record.key or b"").decode(errors="replace")
            found.pop(key, None)
            if record.value is not None:
                found[key] = record.value
    return found
