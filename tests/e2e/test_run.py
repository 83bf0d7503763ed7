"""`exchange run` from an operator's view: start, paste the printed lines, Ctrl-C, start again."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.api import Api, eventually
from infra.ports import free_port, is_free
from infra.process_table import descendants, is_running
from tests.support.run_command import patient

LAST_LINE = "Ctrl-C stops everything."


@contextmanager
def running(data_dir: Path, port: int) -> Iterator[tuple[str, list[int]]]:
    """Run the command; yield its banner and the pids below it. SIGINT must end it with code 0."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("EXCHANGE_")}
    environ |= patient(port) | {"EXCHANGE_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "services.cli", "run", "--profile", "short"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            printed: list[str] = []
            for line in process.stdout:
                printed.append(line)
                if line.startswith(LAST_LINE):
                    break
            yield "".join(printed), descendants(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()


def lines_to_paste(banner: str) -> str:
    return banner.split("(paste as is):")[1].split(LAST_LINE, maxsplit=1)[0]


def test_run_prints_lines_that_work_and_leaves_no_process_after_ctrl_c(tmp_path: Path) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    port = free_port()
    with running(tmp_path, port) as (banner, pids):
        pasted = subprocess.run(
            [shell, "-e"], input=lines_to_paste(banner), capture_output=True, text=True, check=True
        )
        *_, book, cancelled = pasted.stdout.split()
        assert '"bids":[{"price":3712,"total_quantity":100,"order_count":1}]' in book
        assert cancelled == "204"
        key = re.search(r"ex_\S+", pasted.stdout)
        assert key is not None
        assert len(pids) >= 5
    eventually("processes ended", lambda: not any(is_running(pid) for pid in pids), timeout_s=5)
    assert is_free(port)

    with running(tmp_path, port):
        again = Api(f"http://127.0.0.1:{port}", key.group())
        assert again.get("/balance").body["broker_name"] == "First Broker"
        assert again.get("/stocks/PETR4/book").body["sequence"] == 2


@pytest.mark.parametrize(
    ("variable", "text"), [("EXCHANGE_PORT", "eighty"), ("EXCHANGE_PROT", "8000")]
)
def test_run_with_an_invalid_setting_prints_one_line_and_exits(variable: str, text: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services.cli", "run"],
        env=os.environ | {variable: text},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert variable in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
