"""The compared systems, each alone on the machine and with separate servers while measured."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from benchmarks.designs.service import Baseline
from infra.postgres import LocalPostgres
from loadgen.workload.orderflow import plan
from loadgen.workload.profiles import B3, scaled
from schemas.topology import Durability
from services.local.exchange import STOP_ORDER, LocalExchange, running_exchange
from services.runtime.settings import Settings


class SystemUnderTest(Protocol):
    """A running system."""

    @property
    def url(self) -> str:
        """Its base URL, which stays the same after a kill."""

    @property
    def admin_key(self) -> str:
        """The key for registering brokers."""

    def pids(self) -> dict[str, int]:
        """Its processes by name; their child processes count with them."""

    def kill(self) -> None:
        """Kill all of it with SIGKILL, including its database and its command log."""

    def restart(self) -> None:
        """Start what was killed; returns when it answers."""


class Simple:
    """A baseline and its PostgreSQL."""

    def __init__(self, baseline: Baseline, postgres: LocalPostgres) -> None:
        self._baseline = baseline
        self._postgres = postgres

    @property
    def url(self) -> str:
        """See Contestant."""
        return self._baseline.url

    @property
    def admin_key(self) -> str:
        """See Contestant."""
        return self._baseline.admin_key

    def pids(self) -> dict[str, int]:
        """See Contestant."""
        return {"service": self._baseline.process.pid, "PostgreSQL": self._postgres.process.pid}

    def kill(self) -> None:
        """See Contestant."""
        self._baseline.process.kill()
        self._postgres.kill()

    def restart(self) -> None:
        """See Contestant."""
        self._postgres.start()
        self._baseline.start()


class Ours:
    """The whole exchange."""

    def __init__(self, stack: LocalExchange) -> None:
        self._stack = stack

    @property
    def url(self) -> str:
        """See Contestant."""
        return self._stack.url

    @property
    def admin_key(self) -> str:
        """See Contestant."""
        return self._stack.admin_key

    def pids(self) -> dict[str, int]:
        """See Contestant."""
        servers = self._stack.servers
        named = {"Kafka": servers.kafka, "PostgreSQL": servers.postgres}
        return {
            **{name: child.pid for name, child in self._stack.services.items()},
            **{name: server.process.pid for name, server in named.items() if server is not None},
        }

    def kill(self) -> None:
        """See Contestant."""
        for name in STOP_ORDER:
            self._stack.services[name].kill()
        for server in (self._stack.servers.kafka, self._stack.servers.postgres):
            if server is not None:
                server.kill()

    def restart(self) -> None:
        """See Contestant."""
        for server in (self._stack.servers.kafka, self._stack.servers.postgres):
            if server is not None:
                server.start()
        for name in reversed(STOP_ORDER):
            self._stack.start(name)
        for name in reversed(STOP_ORDER):
            self._stack.wait_ready(name)


def _simple(design: str) -> Callable[[Path], Iterator[SystemUnderTest]]:
    def start(folder: Path) -> Iterator[SystemUnderTest]:
        with ExitStack() as ending:
            postgres = ending.enter_context(LocalPostgres(folder / "postgres"))
            key = secrets.token_urlsafe(24)
            baseline = Baseline(design, postgres.create_database(design), key, folder / "logs")
            ending.callback(baseline.stop)
            baseline.start()
            yield Simple(baseline, postgres)

    return start


def _ours(durability: Durability) -> Callable[[Path], Iterator[SystemUnderTest]]:
    def start(folder: Path) -> Iterator[SystemUnderTest]:
        settings = Settings(port=0, durability=durability)
        # Assign partitions as an operator would who knows which symbols are traded most.
        shares = plan(scaled(B3, 1, 1), 1).shares()
        with running_exchange(folder, settings, profile="sustained", shares_ppm=shares) as stack:
            yield Ours(stack)

    return start


STARTS: Final[dict[str, Callable[[Path], Iterator[SystemUnderTest]]]] = {
    "v1": _simple("v1"),
    "v2": _simple("v2"),
    "v3": _simple("v3"),
    "process": _ours("process"),
    "fsync": _ours("fsync"),
}


@contextmanager
def running(name: str, folder: Path) -> Iterator[SystemUnderTest]:
    """Context with this system up and ready. Raises the errors of its servers and services."""
    with contextmanager(STARTS[name])(folder) as system:
        yield system
