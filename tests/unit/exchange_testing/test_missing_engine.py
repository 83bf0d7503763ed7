"""An exchange in containers on a machine without a Docker engine: one line with the solution."""

import os
import subprocess
import sys

from infra.ports import free_port

START = "from exchange_testing import ExchangeContainer; ExchangeContainer().start()"


def test_start_without_an_engine_fails_with_the_reason() -> None:
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ | {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "NoEngineError: no Docker engine answers" in last
    assert "DOCKER_HOST" in last
