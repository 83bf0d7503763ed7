"""Signals that stop `exchange run` and services in order."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

# Ready once it has printed a line; it prints another one in its cleanup.
RUN = """
import time
from services.local.signals import stoppable
try:
    with stoppable():
        print("ready", flush=True)
        time.sleep(30)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
SERVICE = """
import sys
from services.runtime.lifecycle import run
def main(settings, stop):
    print("ready", flush=True)
    if stop.wait(30):
        print("stopped", flush=True)
sys.exit(run("service", {}, main))
"""
# The service gets SIGTERM when it begins to import its process.
STOPPED_AT_START = """
import os, runpy, signal, sys
class Stopping:
    def find_spec(self, name, path=None, target=None):
        if name == service + ".process":
            os.kill(os.getpid(), signal.SIGTERM)
service = sys.argv.pop()
sys.meta_path.insert(0, Stopping())
runpy.run_module(service, run_name="__main__", alter_sys=True)
"""
ROOT: Final = Path(__file__).parents[3]
SERVICES: Final = sorted(
    f"services.{main.parent.name}"
    for main in ROOT.glob("services/*/__main__.py")
    if main.parent.name != "cli"
)


def started(program: str, *prefix: str) -> subprocess.Popen[str]:
    # The tests may run under nohup themselves, which every program below them inherits.
    command = ["env", "--default-signal=HUP", *prefix, sys.executable, "-c", program]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("program", [RUN, SERVICE], ids=["run", "service"])
@pytest.mark.parametrize("signal_number", [1, 2, 15])
def test_signal_stops_in_order(program: str, signal_number: int) -> None:
    with started(program) as process:
        process.send_signal(signal_number)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(10) == 0


@pytest.mark.parametrize("program", [RUN, SERVICE], ids=["run", "service"])
def test_closed_terminal_does_not_stop_a_program_under_nohup(program: str) -> None:
    with started(program, "nohup") as process:
        process.send_signal(1)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(15)
        assert process.wait(10) == 0


def test_every_service_is_covered() -> None:
    assert len(SERVICES) == 6


@pytest.mark.parametrize("service", SERVICES)
def test_service_that_is_stopped_while_it_starts_stops_in_order(service: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_START, service],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "stopped" in line], done.stderr
