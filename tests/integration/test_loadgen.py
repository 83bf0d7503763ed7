"""The load generator's command line, run against a stub exchange without an order book."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from conformance.api import eventually
from infra.ports import free_port
from infra.process_table import descendants, is_running
from loadgen.report.files import read_summary
from loadgen.report.summary import Summary
from loadgen.workload.orderflow import PLAN_VERSION
from tests.support.stub_exchange import ADMIN_KEY

QUICK = ("--scale", "5", "--duration", "3", "--warm-up", "0")


@contextlib.contextmanager
def stub_exchange(*options: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start a stub exchange; yields its URL and its process."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.stub_exchange", str(port), *options]
    with subprocess.Popen(command) as process:
        try:
            # A generator waits a few seconds only for an exchange.
            eventually("the stub listens", lambda: listens(port))
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def started(command: str, url: str, *options: str, key: str = ADMIN_KEY) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "loadgen", command, "--url", url, f"--admin-key={key}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(command: str, url: str, *options: str, key: str = ADMIN_KEY) -> tuple[int, str]:
    """Run a command to its end; return its exit code, and its output and errors."""
    with started(command, url, *options, key=key) as process:
        out, err = process.communicate(timeout=100)
        return process.returncode, out + err


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"never said {text!r}")


def test_loadgen_run_reports_and_its_plan_can_be_repeated(tmp_path: Path) -> None:
    first, again, plan = tmp_path / "a", tmp_path / "b", tmp_path / "plan"
    with stub_exchange() as (url, process):
        pid = ("--pid", f"venue={process.pid}")
        options = ("--report", str(first), "--plan-out", str(plan), "--processes", "2", *pid)
        code, output = ended("run", url, *QUICK, *options)
        assert code in (0, 98), output
        code, output = ended(
            "run", url, "--warm-up", "0", "--report", str(again), "--plan-in", str(plan)
        )
        assert code in (0, 98), output
    one, other = read_summary(first), read_summary(again)
    assert one.complete
    assert one.sent + one.figures.kinds.get("not_sent", 0) == one.planned
    assert {"sender 1", "sender 2", "venue"} == set(one.processes)
    assert one.figures.kinds["expected"]
    assert one.errors == 0
    assert (other.planned, other.config.seed) == (one.planned, one.config.seed)
    assert other.config.profile == one.config.profile
    assert (first / "timeseries.csv").read_text().startswith("second,")
    assert "<svg" in (first / "report.html").read_text()
    compared = subprocess.run(
        [sys.executable, "-m", "loadgen", "compare", first, again / "summary.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "B / A" in compared.stdout


def test_loadgen_with_a_failed_threshold_exits_with_99_or_if_late_with_98(
    tmp_path: Path,
) -> None:
    options = ("--report", str(tmp_path), "--threshold", "p50(order)<1us")
    with stub_exchange() as (url, _):
        code, output = ended("run", url, *QUICK, *options)
    found = read_summary(tmp_path)
    assert code == (99 if found.valid else 98), output
    assert "FAILED  p50(order)<1us" in output


def test_loadgen_capacity_ends_at_its_upper_bound(tmp_path: Path) -> None:
    with stub_exchange() as (url, _):
        code, output = ended(
            "capacity", url, "--start", "2", "--most", "3", "--duration", "2", "--warm-up", "0",
            "--report", str(tmp_path), "--threshold", "errors<1%",
        )  # fmt: skip
    steps = msgspec.json.decode((tmp_path / "capacity.json").read_bytes())["steps"]
    assert steps[0]["scale"] == 2, output
    assert all((tmp_path / step["report"] / "report.html").is_file() for step in steps)
    if code == 0:
        assert steps[-1]["repeat"]
        assert read_summary(tmp_path).config.scale == steps[-1]["scale"]


def of_partial_report(folder: Path) -> Summary:
    found = read_summary(folder)
    assert not found.complete
    assert 0 < found.sent < found.planned
    assert "INCOMPLETE" in (folder / "report.html").read_text()
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_loadgen_keeps_its_results(number: signal.Signals, tmp_path: Path) -> None:
    options = ("--scale", "5", "--duration", "60", "--warm-up", "0", "--report", str(tmp_path))
    with stub_exchange() as (url, _), started("run", url, *options) as process:
        wait_for(process, "run  ")
        children = descendants(process.pid)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 130
    assert "INCOMPLETE: interrupted" in out
    assert of_partial_report(tmp_path).why == "interrupted"
    assert children
    eventually("nothing is left", lambda: not any(is_running(pid) for pid in children))


@pytest.mark.parametrize("mute", [False, True])
def test_loadgen_whose_exchange_dies_keeps_its_results(mute: bool, tmp_path: Path) -> None:
    options = ("--scale", "5", "--duration", "60", "--warm-up", "0", "--give-up", "2")
    with (
        stub_exchange() as (url, server),
        started("run", url, *options, "--report", str(tmp_path)) as process,
    ):
        wait_for(process, "run  ")
        children = descendants(process.pid)
        server.send_signal(signal.SIGSTOP if mute else signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1, err
    assert "INCOMPLETE: 2 s without any answer: the exchange is gone" in out
    found = of_partial_report(tmp_path)
    assert found.figures.kinds["abandoned" if mute else "transport"]
    eventually("nothing is left", lambda: not any(is_running(pid) for pid in children))


def test_loadgen_whose_exchange_never_answers_fails_before_measuring(tmp_path: Path) -> None:
    with stub_exchange("--mute") as (url, _):
        code, output = ended("run", url, *QUICK, "--give-up", "1", "--report", str(tmp_path))
    assert code == 3
    assert "books: 1 s without any answer: the exchange is gone" in output


def test_loadgen_without_an_exchange_or_with_a_wrong_key_fails_with_the_reason(
    tmp_path: Path,
) -> None:
    report = ("--report", str(tmp_path))
    began = time.monotonic()
    code, output = ended("run", f"http://127.0.0.1:{free_port()}", *QUICK, *report)
    assert code == 3
    assert "is not ready after 5 s" in output
    assert time.monotonic() - began < 60
    with stub_exchange() as (url, _):
        code, output = ended("run", url, *QUICK, *report, key="wrong")
    assert code == 3
    assert f"{url} does not take this admin key" in output
    assert "Traceback" not in output


def test_unusable_loadgen_plan_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    options = ("--plan-in", str(plan), "--report", str(tmp_path / "report"))
    for content, why in (
        (b"not json", "is no plan"),
        (msgspec.json.encode({"version": PLAN_VERSION + 1}), f"version {PLAN_VERSION + 1}"),
    ):
        plan.write_bytes(content)
        code, output = ended("run", "http://127.0.0.1:9", *options)
        assert code == 2
        assert why in output
