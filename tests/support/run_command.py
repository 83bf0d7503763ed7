"""`exchange run` as a program: its output, its processes and its HTTP API."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.api import Api, eventually
from infra.ports import free_port, url_of
from tests.support.exchange import OUTCOME_WAIT_MS

LAST_LINE = "Ctrl-C stops everything."
START_TIMEOUT_S = 100.0
STOP_TIMEOUT_S = 60.0


def patient(port: int) -> dict[str, str]:
    """Settings of an exchange on this port that answers with outcomes also when it is slow."""
    return {"EXCHANGE_PORT": str(port), "EXCHANGE_OUTCOME_WAIT_MS": str(OUTCOME_WAIT_MS)}


class RunCommand:
    """`exchange run`, started; its standard output and error go to a file."""

    def __init__(self, log: Path, variables: dict[str, str], cwd: Path | None, umask: int) -> None:
        kept = {name: t for name, t in os.environ.items() if not name.startswith("EXCHANGE_")}
        self.environ = kept | patient(free_port()) | variables
        host = self.environ.get("EXCHANGE_HOST") or "127.0.0.1"
        self.url = url_of(host, int(self.environ["EXCHANGE_PORT"]))
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "run", "--profile", "short"],
                env=self.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                umask=umask,
            )

    def printed(self) -> str:
        """Everything that it has printed so far."""
        return self.log.read_text()

    def lines_to_paste(self) -> str:
        """The lines for a shell in its banner."""
        return self.printed().split("(paste as is):")[1].split(LAST_LINE, maxsplit=1)[0]

    def degraded(self) -> dict[str, str]:
        """The helpers that `/readyz` lists as down, with the reason; its status must be 200."""
        answer = Api(self.url, None).get("/readyz")
        assert answer.status == 200, answer
        return {helper["name"]: helper["detail"] for helper in answer.body["degraded"]}

    def register(self, admin_key: str, **more: str) -> dict[str, str]:
        """The answer to a registration."""
        answer = Api(self.url, admin_key).call("POST", "/register", {"name": "Broker"} | more)
        assert answer.status == 201, answer
        return dict(answer.body)

    def place(self, api_key: str) -> int:
        """The status of the answer to an order."""
        return Api(self.url, api_key).place("bid", "PETR4", 1, 100).status


@contextmanager
def run_command(
    log: Path, variables: dict[str, str], *, cwd: Path | None = None, umask: int = -1
) -> Iterator[RunCommand]:
    """An exchange that has printed its banner; SIGTERM at the end must end it with code 0."""
    run = RunCommand(log, variables, cwd, umask)
    try:

        def opened() -> bool:
            assert run.process.poll() is None, run.printed()
            return LAST_LINE in run.printed()

        eventually("open", opened, START_TIMEOUT_S)
        yield run
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(STOP_TIMEOUT_S) == 0
    finally:
        run.process.kill()
        run.process.wait()
