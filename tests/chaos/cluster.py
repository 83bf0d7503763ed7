"""The exchange under test, with a proxy on every link between a service and a server.

Kafka has one more listener per service, which advertises the port of that service's proxy, so that
no connection bypasses the proxy. Tests and the audit connect to the servers directly.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from infra.broker import LocalKafka
from infra.environment import server_environment
from infra.ports import LOOPBACK, free_port
from infra.postgres import LocalPostgres
from infra.process import ChildProcess
from infra.quorum import Node, Quorum
from infra.servers import LocalServers
from services.local.child_environment import environment
from services.local.data_dir import admin_key
from services.local.exchange import MODULES, LocalExchange
from services.local.local_settings import LOCAL_CIDRS
from services.runtime.settings import Settings
from tests.chaos.server_clock import build_clock_library, with_clock
from tests.chaos.small_disk import small_disk
from tests.support.fault_proxy import FaultProxy
from tests.support.wrong_clock import set_clock

# Low, so that restarts begin at snapshots and some kills interrupt the writing of one.
SNAPSHOT_EVERY: Final = 200
# The processes of `exchange run`, and the reader as a separate process.
SERVICES: Final = MODULES | {"reader": ("services.reader",)}
_KAFKA_LINKS: Final = {name: f"{name}-kafka" for name in SERVICES}
_POSTGRES_LINKS: Final = {
    name: f"{name}-postgres" for name in ("gateway", "reader", "sink", "webhooks")
}
RECEIVERS_LINK: Final = "webhooks-receivers"


class KafkaUnderTest(LocalKafka):
    """Kafka with further listeners, and a wall clock that can be set wrong.

    `listeners`: port and advertised port of each by name. `clock_file`: the error of the clock; it
    stays right without a C compiler.
    """

    def __init__(
        self, data_dir: Path, listeners: Mapping[str, tuple[int, int]], clock_file: Path
    ) -> None:
        super().__init__(data_dir)
        self._listeners = listeners
        self._clock_file = clock_file
        set_clock(clock_file, 0)
        self._clock_library = build_clock_library(clock_file.parent)

    @property
    def has_clock(self) -> bool:
        """True if the clock can be set wrong."""
        return self._clock_library is not None

    def _environment(self) -> dict[str, str] | None:
        if self._clock_library is None:
            return None
        environment = server_environment(os.environ)
        return with_clock(environment, self._clock_library, self._clock_file)

    def _settings(self, quorum: Quorum, node: Node) -> str:
        more = {
            "listeners=": [f"{n}://{LOOPBACK}:{port}" for n, (port, _) in self._listeners.items()],
            "advertised.listeners=": [
                f"{n}://{LOOPBACK}:{port}" for n, (_, port) in self._listeners.items()
            ],
            "listener.security.protocol.map=": [f"{name}:PLAINTEXT" for name in self._listeners],
        }
        lines = []
        for line in super()._settings(quorum, node).splitlines():
            key = line[: line.find("=") + 1]
            lines.append(",".join([line, *more.pop(key, [])]))
        assert not more, more
        return "\n".join(lines) + "\n"


class ProxiedStack(LocalExchange):
    """The local stack, with each service connected through its proxies."""

    def __init__(
        self, settings: Settings, servers: LocalServers, links: Mapping[str, FaultProxy]
    ) -> None:
        super().__init__(settings, servers)
        self._links = links
        self.probes["reader"] = free_port()
        self.reader_url = f"http://{LOOPBACK}:{self.probes['reader']}"

    def stop_all(self) -> None:
        """Stop the reader, then the other services."""
        if "reader" in self.services:
            self.stop("reader")
        super().stop_all()

    def set_clock(self, name: str, shift_ms: int) -> None:
        """Set the error of this service's wall clock, with immediate effect."""
        set_clock(self._clock(name), shift_ms)

    def _clock(self, name: str) -> Path:
        return self.data_dir / "clocks" / name

    def replace(self, name: str) -> ChildProcess:
        """A new process for this service; the former one keeps its port for probes."""
        self.probes[name] = free_port()
        self.services[name] = self._child(name)
        return self.services[name]

    def _child(self, name: str) -> ChildProcess:
        kafka = f"{LOOPBACK}:{self._links[_KAFKA_LINKS[name]].port}"
        database_url = self.database_url
        if name in _POSTGRES_LINKS:
            database_url = _through(self._links[_POSTGRES_LINKS[name]], database_url)
        settings = structs.replace(self.settings, kafka=kafka, database_url=database_url)
        if name == "reader":
            settings = structs.replace(settings, port=self.probes[name])
        overrides = (
            {} if name == "reader" else {"EXCHANGE_METRICS_PORT": str(self.probes.get(name, 0))}
        )
        clock_file = clock_file_of(self.data_dir, name)
        set_clock(clock_file, 0)
        clock = ("tests.support.wrong_clock", str(clock_file))
        return ChildProcess(
            [sys.executable, "-m", *clock, *SERVICES[name]],
            log_file=self.log_dir / f"{name}.log",
            env=environment(os.environ, settings, overrides),
            cwd=self.data_dir,
        )


class Cluster:
    """All targets of faults by their names in the plan."""

    def __init__(
        self,
        stack: ProxiedStack,
        servers: Mapping[str, LocalKafka | LocalPostgres],
        links: Mapping[str, FaultProxy],
    ) -> None:
        self.stack = stack
        self.servers = servers
        self.links = links
        self._superseded: list[ChildProcess] = []

    def set_clock(self, name: str, shift_ms: int) -> bool:
        """Set the error of a program's wall clock, with immediate effect; False: not possible."""
        server = self.servers.get(name)
        if isinstance(server, KafkaUnderTest) and not server.has_clock:
            return False
        set_clock(clock_file_of(self.stack.data_dir, name), shift_ms)
        return True

    def supersede(self, name: str) -> ChildProcess:
        """Start a second process that takes this service's place; the former process."""
        former = self.stack.services[name]
        self._superseded.append(former)
        self.stack.replace(name).start()
        return former

    def kill_superseded(self) -> None:
        """Kill the superseded processes that still run."""
        for former in self._superseded:
            former.kill()

    def all_ready(self) -> bool:
        """True if every service is ready now."""
        return all(map(self.stack.ready, SERVICES))

    def process(self, name: str) -> ChildProcess:
        """The present process of a service or server; a restart may replace it."""
        return self.servers[name].process if name in self.servers else self.stack.services[name]

    def start(self, name: str) -> None:
        """Start it. A server answers when this returns, a service may not be ready yet."""
        if name in self.servers:
            self.servers[name].start()
        else:
            self.stack.start(name)

    def stop(self, name: str) -> int | None:
        """Stop it with SIGTERM (PostgreSQL: its fast shutdown); the exit code."""
        if name in self.servers:
            self.servers[name].stop()
            return self.servers[name].process.exit_code
        return self.stack.stop(name)

    def kill(self, name: str) -> None:
        """End it with SIGKILL."""
        if name in self.servers:
            self.servers[name].kill()
        else:
            self.stack.services[name].kill()


@contextmanager
def running_cluster(
    data_dir: Path, receivers_port: int, *, with_small_disk: bool = False
) -> Iterator[Cluster]:
    """A context with a running, ready cluster. Raises NoMountError.

    `receivers_port`: port of the webhook receivers, which RECEIVERS_LINK forwards to.
    """
    data_dir = data_dir.resolve()
    with ExitStack() as ending:
        if with_small_disk:
            ending.enter_context(small_disk(data_dir / "kafka"))
        ports, links = _kafka_links()
        listeners = {
            name.upper(): (ports[link], links[link].port) for name, link in _KAFKA_LINKS.items()
        }
        kafka_clock = clock_file_of(data_dir, "kafka")
        kafka = ending.enter_context(KafkaUnderTest(data_dir / "kafka", listeners, kafka_clock))
        postgres = ending.enter_context(LocalPostgres(data_dir / "postgres"))
        port = urlsplit(postgres.url).port or 0
        links |= {link: FaultProxy(port) for link in _POSTGRES_LINKS.values()}
        links[RECEIVERS_LINK] = FaultProxy(receivers_port)
        for link in links.values():
            ending.enter_context(link)
        settings = Settings(
            port=free_port(),
            data_dir=data_dir,
            admin_key=admin_key(data_dir),
            snapshot_every=SNAPSHOT_EVERY,
            # Matchers get clocks that are a day behind, and must match by the log's time.
            clock_ahead_ms_max=0,
            webhook_allow_cidrs=LOCAL_CIDRS,
            webhook_retries="seconds",
        )
        servers = LocalServers(data_dir, kafka=kafka.bootstrap_servers, database_url=postgres.url)
        stack = ProxiedStack(settings, servers, links)
        stack.prepare()
        ending.callback(stack.stop_all)
        stack.start_all(tuple(SERVICES))
        cluster = Cluster(stack, {"kafka": kafka, "postgres": postgres}, links)
        ending.callback(cluster.kill_superseded)
        yield cluster


def _kafka_links() -> tuple[dict[str, int], dict[str, FaultProxy]]:
    """Ports of the listeners and proxies to them, by link. All ports differ."""
    while True:
        ports = {link: free_port() for link in _KAFKA_LINKS.values()}
        links = {link: FaultProxy(port) for link, port in ports.items()}
        # None of them is bound yet, so that a port may be drawn twice.
        if len({*ports.values(), *(proxy.port for proxy in links.values())}) == 2 * len(ports):
            return ports, links


def clock_file_of(data_dir: Path, name: str) -> Path:
    """The file with the error of a program's wall clock."""
    return data_dir / "clocks" / name


def _through(proxy: FaultProxy, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")
