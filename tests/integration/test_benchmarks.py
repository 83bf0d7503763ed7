"""Very small benchmark runs on real servers produce all figures; interrupted runs produce some.

No test depends on the speed of anything.
"""

import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from benchmarks.micro.__main__ import EXIT_INTERRUPTED, Run, one
from benchmarks.micro.context import Servers
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import QUICK
from benchmarks.micro.peer_worker import ADAPTERS
from benchmarks.micro.peers import INSTALL_TIMEOUT_S, installed
from benchmarks.micro.registry import ENTRIES, PEERS
from benchmarks.micro.report import BenchmarkReport, Measured
from tests.integration.audited_market import create_database
from tests.support.exchange import Exchange

TINY = structs.replace(
    QUICK, repeats=1, sizes=(1, 1_000), rates=(100,), rate_s=0.3, modes=("process",)
)
ROOT = Path(__file__).parents[2]


def discard(_: str) -> None:
    """Discard the progress message."""


class RunningServers(Servers):
    """Uses the servers of the test run instead of starting new ones."""

    def __init__(self, folder: Path, ending: ExitStack, exchange: Exchange) -> None:
        super().__init__(folder, ending, discard)
        self._exchange = exchange
        self._stem = f"bench{time.time_ns()}"

    def kafka(self) -> str:
        return self._exchange.bootstrap

    def database(self) -> str:
        return create_database(self._exchange.database_url, self.name("bench"))

    def name(self, stem: str) -> str:
        return f"{super().name(stem)}-{self._stem}"


def measured(name: str, folder: Path, exchange: Exchange) -> Measured:
    (entry,) = (entry for entry in ENTRIES if entry.name == name)
    done = Run()
    with ExitStack() as ending:
        one(entry, TINY, RunningServers(folder, ending, exchange), done, discard)
    assert done.notes == []
    (found,) = done.benchmarks
    assert found.complete
    return found


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("sink.rows", {"decode, fold, lines", "into PostgreSQL"}),
        ("kafka.matcher", {"one core", "by the clock", "CPU"}),
        ("kafka.ack", {"process p50", "process p99"}),
        ("trip.process", {"answer p50", "answer p99", "trade event p50", "trade event p99"}),
    ],
)
def test_benchmark_on_servers_has_a_sample_of_every_figure(
    exchange: Exchange, tmp_path: Path, name: str, series: set[str]
) -> None:
    figures = measured(name, tmp_path, exchange).figures
    assert {figure.series for figure in figures} == series
    assert all(len(figure.samples) == 1 and figure.min > 0 for figure in figures)


@pytest.mark.timeout(INSTALL_TIMEOUT_S)
def test_other_engines_make_the_same_fills(exchange: Exchange, tmp_path: Path) -> None:
    try:
        installed(discard)
    except BenchError as error:
        pytest.skip(f"NOT TESTED that other engines make our fills: {error}")
    series = {figure.series.split()[0] for figure in measured(PEERS, tmp_path, exchange).figures}
    assert series == {"ours", *ADAPTERS}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_keeps_its_measurements(tmp_path: Path, number: signal.Signals) -> None:
    file, html = tmp_path / "bench.json", tmp_path / "bench.html"
    options = ["--only", "engine.cross", "engine.mixed", "--repeats", "1000000", "--quick"]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.micro", *options, "--json", file, "--html", html],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        # A repeat is complete as soon as the progress output mentions a later one.
        while not re.search(r"engine.cross repeat (?!1/)", running.stderr.readline()):
            pass
        running.send_signal(number)
        output, _ = running.communicate(timeout=60)
    assert running.returncode == EXIT_INTERRUPTED
    report = msgspec.json.decode(file.read_bytes(), type=BenchmarkReport)
    assert not report.complete
    assert [one.name for one in report.benchmarks] == ["engine.cross"]
    assert "interrupted" in output
    assert "INTERRUPTED" in html.read_text()
