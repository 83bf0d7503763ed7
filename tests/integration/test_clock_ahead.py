"""Commands from the future: a matcher whose clock is behind Kafka's stops before it publishes."""

import os
from contextlib import closing
from pathlib import Path

from schemas.codec import decode_execution, encode
from schemas.commands import Tick
from schemas.executions import Outcomes
from schemas.topics import COMMANDS, EXECUTIONS
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from tests.integration.test_sink_loop import HandwrittenLog
from tests.integration.test_sink_processes import finished
from tests.support.servers import KafkaServer
from tests.support.wrong_clock import set_clock

CLOCK_AHEAD = 13
MINUTE_MS = 60_000


def test_matcher_whose_clock_is_behind_kafka_exits_with_13_and_publishes_nothing(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    log = HandwrittenLog(kafka.bootstrap_servers)
    for _ in range(3):
        log.write(encode(Tick()), COMMANDS)
    clock = tmp_path / "clock"
    set_clock(clock, -MINUTE_MS)
    environ = dict(os.environ) | {
        "EXCHANGE_KAFKA": log.bootstrap,
        "EXCHANGE_TOPIC_PREFIX": log.prefix,
    }
    ended = finished(environ, "tests.support.wrong_clock", str(clock), "services.matcher")
    assert ended.returncode == CLOCK_AHEAD, ended.stderr
    assert "command 0 of partition 0 has a timestamp" in ended.stderr
    assert "Traceback" not in ended.stderr
    with closing(LogReader(log.kafka, Partition(EXECUTIONS.full_name(log.prefix), 0))) as reader:
        published = [decode_execution(record.value) for record in reader.records()]
    assert not any(isinstance(each, Outcomes) for each in published)
