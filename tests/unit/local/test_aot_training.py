"""The AOT cache is made in the background of `exchange run`, which reports it and ends it."""

import sys
from pathlib import Path

import pytest

from infra.aot_training import wanted
from infra.kafka_jars import release_dir
from infra.process_table import working_in
from infra.servers import LocalServers
from services.local.aot_training import aot_training
from services.local.exchange import LocalExchange
from services.runtime.settings import Settings


@pytest.fixture
def stack(tmp_path: Path) -> LocalExchange:
    """An exchange that was not started, with a cache folder without a cache."""
    data_dir, cache_dir = tmp_path / "data", tmp_path / "cache"
    data_dir.mkdir()
    (release_dir(cache_dir) / "libs").mkdir(parents=True)
    return LocalExchange(Settings(data_dir=data_dir), LocalServers(data_dir, cache_dir=cache_dir))


def trainings(stack: LocalExchange) -> list[int]:
    return working_in(stack.data_dir, Path(sys.executable).resolve().name)


def test_missing_cache_is_made_in_the_background_until_the_exchange_stops(
    stack: LocalExchange,
) -> None:
    lines: list[str] = []
    with aot_training(stack, lines.append):
        assert len(trainings(stack)) == 1
    assert trainings(stack) == []
    assert len(lines) == 1
    assert "making a cache for faster starts of Kafka" in lines[0]
    assert str(stack.log_dir / "aot-training.log") in lines[0]


def test_cache_that_is_there_is_not_made_again(stack: LocalExchange) -> None:
    assert stack.servers.kafka is not None
    file = wanted(stack.servers.kafka.jvm())
    assert file is not None
    file.touch(0o600)
    lines: list[str] = []
    with aot_training(stack, lines.append):
        assert trainings(stack) == []
    assert lines == []


def test_cache_is_not_made_for_a_broker_that_uses_none(stack: LocalExchange) -> None:
    assert stack.servers.kafka is not None
    stack.servers.kafka.uses_aot_cache = False
    lines: list[str] = []
    with aot_training(stack, lines.append):
        assert trainings(stack) == []
    assert lines == []


def test_cache_is_not_made_for_kafka_elsewhere(tmp_path: Path) -> None:
    servers = LocalServers(tmp_path, kafka="there:9092")
    lines: list[str] = []
    with aot_training(LocalExchange(Settings(data_dir=tmp_path), servers), lines.append):
        assert lines == []
