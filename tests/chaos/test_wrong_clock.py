"""Wrong clock of a program: changes at once with its file, in this program only."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from services.local.child_environment import environment
from services.runtime.settings import Settings
from tests.chaos.cluster import KafkaUnderTest
from tests.support.wrong_clock import set_clock, shifted

DAY_MS = 86_400_000


def test_wrong_clock_when_its_file_changes_changes_at_once(tmp_path: Path) -> None:
    file = tmp_path / "clocks" / "one"
    set_clock(file, DAY_MS)
    now_ns = shifted(lambda: 5, file)
    assert now_ns() == 5 + DAY_MS * 1_000_000
    set_clock(file, -DAY_MS)
    assert now_ns() == 5 - DAY_MS * 1_000_000
    set_clock(file, 0)
    assert now_ns() == 5


def test_program_with_a_wrong_clock_reads_it_by_both_functions(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    set_clock(file, DAY_MS)
    (tmp_path / "prints.py").write_text("import time; print(int(time.time()), time.time_ns())")
    command = [sys.executable, "-m", "tests.support.wrong_clock", str(file), "prints"]
    env = environment(os.environ, Settings(), {})
    printed = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    seconds, nanoseconds = map(int, printed.stdout.split())
    ahead_s = seconds - time.time()
    assert abs(ahead_s - DAY_MS / 1000) < 60
    assert abs(seconds - nanoseconds / 1e9) < 60


def test_kafka_with_a_wrong_clock_stamps_commands_with_it(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler: Kafka's clock cannot be set wrong")
    clock = tmp_path / "clocks" / "kafka"
    with KafkaUnderTest(tmp_path / "kafka", {}, clock) as kafka:
        assert kafka.has_clock
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        topic = NewTopic("stamped", 1, config={"message.timestamp.type": "LogAppendTime"})
        # Kept until the result: a client that is collected fails its requests.
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        admin.create_topics([topic])["stamped"].result()
        stamps: list[int] = []
        for shift_ms in (-5_000, 400, 0):
            set_clock(clock, shift_ms)
            before_ms = time.time() * 1_000
            producer.produce(
                "stamped", b"", on_delivery=lambda _, record: stamps.append(record.timestamp()[1])
            )
            producer.flush()
            stamped_ms = stamps[-1] - shift_ms
            assert before_ms - 100 < stamped_ms < time.time() * 1_000 + 100
