"""The lines about failures that `python -m tests` repeats at its end."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.__main__ import print_lines

TESTS = """
import logging
import pytest

def test_passes():
    logging.error("not a failure")

def test_fails():
    logging.error("test_x.py has a line in the log")
    assert 1 + 1 == 3

@pytest.fixture
def broken():
    raise RuntimeError("no server")

def test_has_no_fixture(broken):
    pass
"""


def test_names_and_reasons_of_failures_are_kept(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", "."]
    failures: list[str] = []
    with subprocess.Popen(
        [*command, "test_x.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        print_lines(2, process, failures)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert all(line.startswith("2| ") for line in failures)
    lines = [" ".join(line.removeprefix("2| ").strip("_ \n").split()) for line in failures]
    assert lines[:4] == [
        "ERROR at setup of test_has_no_fixture",
        "E RuntimeError: no server",
        "test_fails",
        "E assert (1 + 1) == 3",
    ]
    assert {line.split(" - ")[0] for line in lines[4:]} == {
        "FAILED test_x.py::test_fails",
        "ERROR test_x.py::test_has_no_fixture",
    }
