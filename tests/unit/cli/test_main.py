"""The `exchange` command: version and exit codes."""

import tomllib
from pathlib import Path

from typer.testing import CliRunner

from services.cli.__main__ import SOURCE_VERSION, app, exit_codes
from services.runtime.errors import ExchangeError


def test_version_option_prints_name_and_version() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert (result.exit_code, result.output) == (0, "exchange 0.1.0\n")


def test_source_version_equals_the_version_of_the_project_file() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]

    assert project["version"] == SOURCE_VERSION


def test_exit_codes_contain_the_code_of_every_error_class() -> None:
    text = exit_codes()

    for error in ExchangeError.__subclasses__():
        assert f" {error.exit_code} " in text
