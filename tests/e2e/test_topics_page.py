"""Shell lines of `docs/topics.md`, run against an exchange."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from infra.kafka_jars import default_cache_dir
from tests.support.exchange import Exchange, wait_until_public

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "topics.md").read_text()
LINES: Final = "".join(
    re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
).splitlines()
# Names of addresses, folders and functions: every other line needs them.
SETUP: Final = [line for line in LINES if re.match(r"[A-Z]+=|\w+\(\)", line)]
COMMANDS: Final = [line for line in LINES if line not in SETUP]


@pytest.fixture(scope="module")
def symbol(exchange: Exchange) -> str:
    """Symbol with one trade that is published."""
    symbol, broker = exchange.symbol(), exchange.broker()
    broker.place("ask", symbol, 5, 3712)
    broker.place("bid", symbol, 5, 3712)
    wait_until_public(exchange, symbol)
    return symbol


@pytest.fixture(scope="module")
def folder(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the files that a clone contains while `make run` runs."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".local").mkdir()
    shutil.copy(exchange.stack.data_dir / "endpoints.json", folder / ".local")
    (folder / ".local" / "cache").symlink_to(default_cache_dir())
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def test_page_has_lines_for_each_tool() -> None:
    assert {line.split()[0] for line in COMMANDS} == {
        "console_consumer", "kcat", ".venv/bin/python"
    }  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_page_line_pasted_prints_the_trade(line: str, symbol: str, folder: Path) -> None:
    if line.startswith("kcat") and shutil.which("kcat") is None:
        pytest.skip("kcat is not installed: apt-get install kcat")
    environ = {name: text for name, text in os.environ.items() if not name.startswith("EXCHANGE_")}
    seen: list[str] = []
    with subprocess.Popen(
        ["bash", "-e", "-c", "\n".join([*SETUP, line])],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        try:
            for printed in shell.stdout:
                seen.append(printed)
                if symbol in printed:
                    return
        finally:
            # Some lines follow the topic until Ctrl-C.
            os.killpg(shell.pid, signal.SIGKILL)
    pytest.fail("".join(seen))
