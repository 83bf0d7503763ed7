"""Keeps an exchange running: restarts dead processes, and gives up if that does not help.

One thread that checks a few times a second, outside the path of an order.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from infra.errors import InfraError
from infra.process import ChildProcess
from services.local.exchange import Stack
from services.local.restart_policy import RestartPolicy, RestartState
from services.runtime.errors import GaveUpError

LOOK_INTERVAL_S = 0.2


class Process(Protocol):
    """A child process; implemented by infra's ChildProcess."""

    @property
    def alive(self) -> bool: ...
    @property
    def exit_code(self) -> int | None: ...


class SupervisedProcess(Struct):
    """One supervised process: access to it, how to start it, its log file and its history."""

    name: str
    look: Callable[[], Process]
    start: Callable[[], None]
    log_file: Path
    state: RestartState
    left: bool = False


class Supervisor:
    """`watch` runs until `wanted` returns False. `tell` gets lines for the operator."""

    def __init__(self, wards: list[SupervisedProcess], tell: Callable[[str], None]) -> None:
        self._wards = wards
        self._tell = tell

    def watch(self, wanted: Callable[[], bool]) -> None:
        """Check until `wanted` returns False. Raises GaveUpError."""
        while wanted():
            self.look_after(time.monotonic())
            time.sleep(LOOK_INTERVAL_S)

    def look_after(self, now_s: float) -> None:
        """Check all processes once."""
        for ward in self._wards:
            process = ward.look()
            if process.alive or ward.left:
                continue
            if ward.state.due_s is None:
                self._judge(ward, process.exit_code, now_s)
            if ward.state.due_s is not None and now_s >= ward.state.due_s:
                self._start(ward, now_s)

    def _judge(self, ward: SupervisedProcess, exit_code: int | None, now_s: float) -> None:
        verdict = ward.state.died(exit_code, now_s)
        if verdict == "give_up":
            raise GaveUpError(
                f"{ward.name} ended with exit code {exit_code} and a restart does not help; "
                f"see {ward.log_file}"
            )
        if verdict == "leave":
            ward.left = True
            self._tell(f"{ward.name} was superseded by another one and is not started again")
        else:
            self._tell(f"{ward.name} ended with exit code {exit_code}; starting it again")

    def _start(self, ward: SupervisedProcess, now_s: float) -> None:
        ward.state.started(now_s)
        try:
            ward.start()
        except InfraError as error:
            self._tell(f"{ward.name} does not start: {error}")


def supervisor(stack: Stack, tell: Callable[[str], None]) -> Supervisor:
    """A supervisor of everything that this exchange started: local servers and services."""
    now_s = time.monotonic()

    def ward(
        name: str, look: Callable[[], ChildProcess], start: Callable[[], None]
    ) -> SupervisedProcess:
        return SupervisedProcess(
            name, look, start, look().log_file, RestartState(RestartPolicy(), now_s)
        )

    wards: list[SupervisedProcess] = []
    for name, server in (("Kafka", stack.servers.kafka), ("PostgreSQL", stack.servers.postgres)):
        if server is not None:
            wards.append(ward(name, partial(getattr, server, "process"), server.start))
    wards += [
        ward(name, partial(stack.services.__getitem__, name), child.start)
        for name, child in stack.services.items()
    ]
    return Supervisor(wards, tell)
