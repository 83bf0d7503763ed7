"""`make up` with each answer of the container engine. A `docker` script replaces the engine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.compose import ComposeProject, Container, containers_of, find_compose
from infra.errors import ServerFailedError, ToolMissingError

# Records each call; answers with the content of the files in its folder, or with nothing.
DOCKER = """#!/bin/sh
here=$(dirname "$0")
echo "docker $* ($COMPOSE_PROFILES)" >> "$here/calls"
case "$*" in
  "compose version") exit "$(cat "$here/plugin" 2>/dev/null || echo 0)" ;;
  version*) exit "$(cat "$here/engine" 2>/dev/null || echo 0)" ;;
  compose*" up "*) exit "$(cat "$here/up" 2>/dev/null || echo 0)" ;;
  ps*) echo c1 ;;
  inspect*) cat "$here/inspected" ;;
  logs*) echo "Kafka does not answer" >&2 ;;
esac
"""


def inspected(service: str = "gateway", **changes: Any) -> dict[str, Any]:
    state = {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}} | changes
    return {
        "Id": f"id-{service}",
        "Config": {"Labels": {"com.docker.compose.service": service}},
        "State": {key: value for key, value in state.items() if key != "RestartCount"},
        "RestartCount": changes.get("RestartCount", 0),
    }


def one(**changes: Any) -> Container:
    (container,) = containers_of(json.dumps([inspected(**changes)]))
    return container


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., ComposeProject]:
    """A Compose project on the substitute engine, with configurable answers."""
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)

    def project(*containers: dict[str, Any], **codes: int) -> ComposeProject:
        (tmp_path / "inspected").write_text(json.dumps(containers))
        for word, code in codes.items():
            (tmp_path / word).write_text(str(code))
        return ComposeProject("exchange", {"PATH": f"{tmp_path}:/usr/bin:/bin"})

    return project


@pytest.mark.parametrize(
    ("changes", "done", "failed", "words"),
    [
        ({}, True, False, "gateway: healthy"),
        ({"Health": None}, True, False, "gateway: running"),
        ({"Health": {"Status": "starting"}}, False, False, "gateway: starting"),
        ({"Health": {"Status": "unhealthy"}}, False, False, "gateway: unhealthy"),
        ({"Status": "created"}, False, False, "gateway: healthy"),
        ({"Status": "exited"}, True, False, "gateway: ended with exit code 0"),
        (
            {"Status": "exited", "ExitCode": 3},
            False,
            True,
            "gateway: ended with exit code 3",
        ),
        (
            {"Status": "restarting", "Health": None, "RestartCount": 1},
            False,
            False,
            "gateway: restarting, started again 1 times",
        ),
        (
            {"Status": "restarting", "Health": None, "RestartCount": 3},
            False,
            True,
            "gateway: restarting, started again 3 times",
        ),
    ],
)
def test_container_state_is_done_failed_or_waiting(
    changes: dict[str, Any], done: bool, failed: bool, words: str
) -> None:
    container = one(**changes)
    assert (container.done, container.failed, str(container)) == (done, failed, words)


def test_compose_plug_in_is_preferred_to_the_program(
    tmp_path: Path, engine: Callable[..., object]
) -> None:
    engine(plugin=0)
    assert find_compose(str(tmp_path)) == [str(tmp_path / "docker"), "compose"]


def test_compose_program_is_used_without_the_plug_in(
    tmp_path: Path, engine: Callable[..., ComposeProject]
) -> None:
    (alone := tmp_path / "docker-compose").write_text("#!/bin/sh\n")
    alone.chmod(0o755)
    engine(plugin=1)
    assert find_compose(f"{tmp_path}:/usr/bin:/bin") == [str(alone)]


def test_compose_without_docker_names_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"no docker command: .*apt-get install"):
        find_compose(str(tmp_path))


def test_compose_without_an_answering_engine_reports_one_line(
    engine: Callable[..., ComposeProject],
) -> None:
    with pytest.raises(ServerFailedError, match="no Docker engine answers"):
        engine(engine=1)


def test_up_returns_when_all_are_ready(
    tmp_path: Path, engine: Callable[..., ComposeProject]
) -> None:
    printed: list[str] = []
    engine(inspected("topics", Status="exited"), inspected("gateway")).up(printed.append)
    assert printed == []
    calls = (tmp_path / "calls").read_text()
    assert "docker compose --project-name exchange --file " in calls
    assert " up --detach" in calls


def test_up_that_fails_reports_the_last_lines_of_the_failed_service(
    engine: Callable[..., ComposeProject],
) -> None:
    project = engine(inspected("topics", Status="exited", ExitCode=3), inspected("kafka"), up=1)
    with pytest.raises(ServerFailedError) as caught:
        project.up(lambda _: None)
    assert "docker compose up ended with 1" in str(caught.value)
    assert "topics: ended with exit code 3; its last lines:\n    Kafka does not" in str(
        caught.value
    )
    assert "kafka:" not in str(caught.value)


def test_up_fails_for_a_service_that_keeps_restarting(
    engine: Callable[..., ComposeProject],
) -> None:
    project = engine(inspected("sink", Status="restarting", RestartCount=4, Health=None))
    with pytest.raises(ServerFailedError, match=r"(?s)does not start.*sink: .*Kafka does not"):
        project.up(lambda _: None)


def test_up_that_takes_too_long_names_the_service_not_ready(
    engine: Callable[..., ComposeProject],
) -> None:
    printed: list[str] = []
    project = engine(inspected("matcher-0", Health={"Status": "starting"}), inspected("kafka"))
    with pytest.raises(ServerFailedError, match=r"(?s)not ready after 1 s.*matcher-0: starting"):
        project.up(printed.append, timeout_s=1)
    assert printed == ["waiting for matcher-0: starting"]


def test_down_stops_every_profile_and_removes_data_only_on_request(
    tmp_path: Path, engine: Callable[..., ComposeProject]
) -> None:
    project = engine()
    project.down(volumes=False)
    project.down(volumes=True)
    *_, kept, removed = (tmp_path / "calls").read_text().splitlines()
    assert kept.endswith(" down --remove-orphans (apart,monitoring)")
    assert removed.endswith(" down --remove-orphans --volumes (apart,monitoring)")
