"""A service that a run stops: which end counts as one before it could handle the signal."""

import sys
from pathlib import Path

from conformance.api import eventually
from infra.process import ChildProcess
from tests.chaos.fault_injector import ended_before_start

_SLEEP = "import time; time.sleep(600)"
_STARTING = (
    "import logging; from services.runtime.logging_setup import configure; "
    "configure('matcher', 'INFO'); logging.info('starting'); "
)
_HANDLER = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); "


def _stopped(tmp_path: Path, program: str, first: bytes) -> ChildProcess:
    child = ChildProcess([sys.executable, "-c", program], log_file=tmp_path / "log")
    child.start()
    eventually("the first line", lambda: first in child.output())
    child.stop()
    return child


def test_end_before_the_service_started_is_known(tmp_path: Path) -> None:
    assert ended_before_start(_stopped(tmp_path, _SLEEP, b""))


def test_service_that_started_and_does_not_handle_the_signal_is_no_such_end(
    tmp_path: Path,
) -> None:
    child = _stopped(tmp_path, _STARTING + _SLEEP, b"starting")
    assert child.exit_code == -15
    assert not ended_before_start(child)


def test_ordered_end_is_no_such_end(tmp_path: Path) -> None:
    child = _stopped(tmp_path, _HANDLER + _STARTING + _SLEEP, b"starting")
    assert child.exit_code == 0
    assert not ended_before_start(child)


def test_line_of_an_earlier_start_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"message":"starting"}\n')
    assert ended_before_start(_stopped(tmp_path, _SLEEP, b""))
