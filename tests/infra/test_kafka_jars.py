"""Errors name missing programs and how to install them; downloads are complete or absent."""

from pathlib import Path

import pytest

from infra.broker import LocalKafka
from infra.errors import JarsUnavailableError, ToolMissingError
from infra.kafka_jars import fetch_jars, jars_present, release_dir
from tests.infra.programs import PROJECT, program, start_python


def test_jars_when_maven_is_missing_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"Maven \(mvn\) is missing.*apt-get install"):
        fetch_jars(tmp_path, search_path="/nowhere")


def test_jars_when_maven_fails_quotes_it_and_leaves_nothing(tmp_path: Path) -> None:
    program(tmp_path / "bin", "mvn", "echo '[ERROR] no route to repository'; exit 1")

    with pytest.raises(JarsUnavailableError, match=r"(?s)reachable\?.*no route to repository"):
        fetch_jars(tmp_path, search_path=f"{tmp_path / 'bin'}")

    assert not jars_present(tmp_path)
    assert [entry.name for entry in release_dir(tmp_path).iterdir()] == ["lock"]


def test_jars_needed_by_two_processes_are_fetched_once(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    download = (
        f"echo call >> {calls}; sleep 0.5\n"
        'for word in "$@"; do case $word in -DoutputDirectory=*) out=${word#*=};; esac; done\n'
        'mkdir -p "$out"; touch "$out/kafka_2.13-4.4.0.jar"'
    )
    program(tmp_path / "bin", "mvn", download)
    search_path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    script = (
        "import sys; from pathlib import Path; from infra.kafka_jars import fetch_jars\n"
        "print(fetch_jars(Path(sys.argv[1]), sys.argv[2]))"
    )

    runs = [start_python(script, str(tmp_path), search_path) for _ in range(2)]
    printed = [run.communicate(timeout=20)[0].strip() for run in runs]

    assert printed == [str(release_dir(tmp_path) / "libs")] * 2
    assert calls.read_text() == "call\n"


def test_cache_is_inside_the_clone() -> None:
    assert LocalKafka(Path("unused")).cache_dir == PROJECT / ".local" / "cache"
