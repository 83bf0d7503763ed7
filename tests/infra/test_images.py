"""Images that `make images` pulls, keeps or refuses to build; a script replaces the engine.

`tests/containers` builds and runs the images on a real engine.
"""

import os
import subprocess
from pathlib import Path

import pytest

from infra.ports import free_port

ROOT = Path(__file__).parents[2]
DOCKER = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$1 $2" in
"image inspect") exit "$ABSENT" ;;
"image ls") echo "exchange:local  1MB" ;;
esac
"""


def images(tmp_path: Path, *, absent: bool) -> list[str]:
    """The engine's `pull` and `tag` calls when it has no image (`absent`) or all of them."""
    program = tmp_path / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    calls = tmp_path / "calls"
    settings = {"CALLS": str(calls), "ABSENT": "1" if absent else "0"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", "infra/images/build.sh"],
        cwd=ROOT,
        env=os.environ | path | settings,
        timeout=60,
        check=True,
    )
    return [line for line in calls.read_text().splitlines() if line.startswith(("pull", "tag"))]


def test_images_pulled_from_a_registry_are_tagged_like_built_ones(
    tmp_path: Path,
) -> None:
    assert images(tmp_path, absent=True) == [
        "pull --quiet python:3.11-slim-bookworm",
        "tag python:3.11-slim-bookworm exchange-local/python:3.11",
        "pull --quiet apache/kafka:4.4.0",
        "tag apache/kafka:4.4.0 exchange-local/kafka:4.4.0",
        "pull --quiet postgres:15",
        "tag postgres:15 exchange-local/postgres:15",
    ]


def test_images_that_exist_are_kept(tmp_path: Path) -> None:
    assert images(tmp_path, absent=False) == []


@pytest.mark.parametrize("script", ["infra/docker.sh status", "infra/images/build.sh"])
def test_images_without_an_engine_report_how_to_start_one(script: str) -> None:
    done = subprocess.run(
        ["bash", *script.split()],
        cwd=ROOT,
        env=os.environ | {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "as root: bash infra/docker.sh start" in done.stderr
