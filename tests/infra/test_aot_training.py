"""Training runs: one at a time, complete or absent, nothing left; brokers with their result."""

import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.api import eventually
from infra import aot_training
from infra.aot_cache import cache_file, in_use
from infra.aot_training import main, train, wanted
from infra.broker import LocalKafka
from infra.java import find_java
from infra.jvm import FLAGS, Jvm
from infra.kafka_jars import default_cache_dir, fetch_jars, release_dir
from infra.process_table import descendants, is_running, working_in
from tests.infra.programs import PROJECT

pytestmark = pytest.mark.timeout(400)


def folder_with_jars(folder: Path) -> Path:
    """A cache folder with the jars of the usual one, and without its AOT cache."""
    libs = fetch_jars(default_cache_dir())
    release = release_dir(folder)
    release.mkdir(parents=True)
    (release / "libs").symlink_to(libs)
    return folder


def names_in(cache_dir: Path) -> list[str]:
    return sorted(entry.name for entry in release_dir(cache_dir).iterdir())


def file_of(cache_dir: Path) -> Path:
    file = cache_file(Jvm(find_java(), fetch_jars(cache_dir), FLAGS["short"]))
    assert file is not None
    return file


def start_training(cache_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "infra.aot_training", str(cache_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return folder_with_jars(tmp_path / "cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which two processes were to make the cache at once."""
    folder = folder_with_jars(tmp_path_factory.mktemp("trained") / "cache")
    abandoned = release_dir(folder) / "training-abandoned"
    abandoned.mkdir()
    (abandoned / "recorded").touch()
    runs = [start_training(folder) for _ in range(2)]
    printed = sorted(run.communicate(timeout=300)[0] for run in runs)
    file = file_of(folder)
    size_mib = file.stat().st_size // 2**20
    assert printed == ["another process is making the cache\n", f"made {file} ({size_mib} MiB)\n"]
    return folder


@pytest.fixture
def broken(trained: Path) -> Iterator[Path]:
    """The file of a cache whose last bytes are missing; afterwards it is whole again."""
    file = file_of(trained)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    yield file
    file.write_bytes(whole)
    file.chmod(0o600)


def test_training_by_two_processes_makes_one_cache_and_leaves_nothing_else(trained: Path) -> None:
    assert names_in(trained) == sorted([file_of(trained).name, "libs", "training.lock"])
    assert file_of(trained).stat().st_mode & 0o777 == 0o600
    assert train(trained) == "no cache is to be made"


def test_broker_with_a_cache_uses_it_and_logs_nothing(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "link"
    link.symlink_to(trained)
    for folder, profile in zip((trained, link), FLAGS, strict=True):
        data_dir = tmp_path / profile
        with LocalKafka(data_dir, profile=profile, cache_dir=folder) as kafka:
            assert in_use(file_of(trained), kafka.process.pid)
            assert kafka.process.log_file.read_text() == ""
    assert caplog.messages == []


def test_broker_that_is_to_use_no_cache_has_none(trained: Path, tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, cache_dir=trained)
    kafka.uses_aot_cache = False
    with kafka:
        assert not in_use(file_of(trained), kafka.process.pid)


def test_broker_with_a_truncated_cache_starts_logs_one_line_and_lets_it_be_made_anew(
    broken: Path, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with LocalKafka(tmp_path, cache_dir=trained) as kafka:
        assert not in_use(broken, kafka.process.pid)
        assert wanted(kafka.jvm()) == broken
        log_file = kafka.process.log_file
    assert caplog.messages == [
        f"Kafka starts without its AOT cache: {broken} does not fit: {log_file} has the reason"
    ]
    assert "truncated" in log_file.read_text()


def test_broker_with_a_cache_that_others_can_write_starts_and_logs_one_line(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_of(trained)
    file.chmod(0o666)
    try:
        with LocalKafka(tmp_path, cache_dir=trained) as kafka:
            assert not in_use(file, kafka.process.pid)
            assert wanted(kafka.jvm()) == file
    finally:
        file.chmod(0o600)
    assert caplog.messages == [
        f"Kafka starts without its AOT cache: {file} can be written by other users"
    ]


def test_training_that_is_stopped_leaves_no_process_and_no_folder(cache_dir: Path) -> None:
    run = start_training(cache_dir)
    data = "training-*/kafka"
    eventually(
        "the training's JVM runs",
        lambda: any(working_in(folder, "java") for folder in release_dir(cache_dir).glob(data)),
        timeout_s=100,
    )
    below = descendants(run.pid)

    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)

    assert run.returncode == 1
    eventually("all its programs ended", lambda: not any(map(is_running, below)), 5)
    assert names_in(cache_dir) == ["libs", "training.lock"]


def test_training_while_another_holds_the_lock_does_nothing(cache_dir: Path) -> None:
    with (release_dir(cache_dir) / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert train(cache_dir) == "another process is making the cache"
    assert names_in(cache_dir) == ["libs", "training.lock"]


def test_training_without_room_makes_nothing(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aot_training, "ROOM_MIB_MIN", 2**40)
    assert "has less than" in train(cache_dir)
    assert names_in(cache_dir) == ["libs", "training.lock"]


def test_training_in_a_folder_that_cannot_be_written_prints_one_line(
    cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (release_dir(cache_dir) / "training.lock").mkdir()
    assert main([str(cache_dir)]) == 1
    assert capsys.readouterr().out.startswith("no cache: ")
