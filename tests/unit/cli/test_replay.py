"""Usage of `exchange replay` that is refused before anything is read."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app


@pytest.mark.parametrize(
    "options", [["--until-offset", "5"], ["--dump", "-"], ["--dump", "books.json"]]
)
def test_replay_of_all_partitions_with_an_option_of_one_is_a_usage_error(
    options: list[str], tmp_path: Path
) -> None:
    environment = {"EXCHANGE_KAFKA": "127.0.0.1:1", "EXCHANGE_DATA_DIR": str(tmp_path)}
    found = CliRunner(env=environment).invoke(app, ["replay", *options])
    assert found.exit_code == 2
    assert "--partition" in found.stderr
