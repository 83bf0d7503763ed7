"""A whole exchange on this machine: servers, topics, tables, services, and an ordered stop.

`exchange run`, the demo and the tests share `running_exchange`. Start: 1. port, 2. servers,
3. topics, tables and, with access control, users and rights, 4. services, 5. readiness.
Stop: gateway, matcher, sink, webhooks, PostgreSQL, Kafka.
"""

import contextlib
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import psycopg
from msgspec import structs

from infra.broker import ADMIN
from infra.environment import without_postgres_variables
from infra.errors import FolderBusyError, InfraError
from infra.jvm import Profile
from infra.ports import LOOPBACK, free_port, url_of
from infra.process import ChildProcess
from infra.servers import LocalServers
from services.access.credentials import (
    apply_kafka_roles,
    apply_postgres_roles,
    as_role,
    only_needed,
    password_file,
    without_password,
)
from services.admin.listings import apply_shares
from services.local.banner import Running
from services.local.child_environment import environment
from services.local.data_dir import (
    Endpoints,
    admin_key,
    admin_key_file,
    forget_endpoints,
    write_endpoints,
)
from services.local.helper_status import UNREADY, HelperStatus
from services.local.local_settings import settings_here, unlimited
from services.local.remedies import ended, start_failure
from services.runtime.errors import BusyError, ExchangeError, UnavailableError
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.readiness import not_ready, wait_ready
from services.runtime.settings import Settings
from services.sink.migrate import migrate

MODULES = {
    "sink": ("services.sink",),
    "matcher": ("services.matcher", "--partitions", "all"),
    "webhooks": ("services.webhooks",),
    "gateway": ("services.gateway",),
}
STOP_ORDER = ("gateway", "matcher", "sink", "webhooks")
POSTGRES = "PostgreSQL"
# Orders need these. All others are helpers: the exchange serves orders while they are down.
ESSENTIAL = frozenset({"Kafka", "matcher", "gateway"})
START_ERRORS = (InfraError, ExchangeError, psycopg.Error, OSError)
READY_TIMEOUT_S = 60.0
# `exchange run` opens without a helper that is not ready by then, and reports it.
HELPER_READY_TIMEOUT_S = 20.0
# Longer than a service takes to finish its work; after that it is killed.
STOP_GRACE_S = 15.0


class LocalExchange:
    """A running exchange on this machine. `services` holds a ChildProcess for each of MODULES."""

    def __init__(self, settings: Settings, servers: LocalServers) -> None:
        self.settings = settings
        self.servers = servers
        self.data_dir = settings.data_dir
        self.log_dir = settings.data_dir / "logs"
        self.admin_key = settings.admin_key or ""
        self.url = url_of(settings.host, settings.port)
        self.topic_prefix = settings.topic_prefix
        self.durability = ""
        # The metrics port of each service. Its own probes use it too, except for the gateway: the
        # API's port says whether brokers are served.
        self.probes = {name: free_port() for name in ("sink", "matcher", "webhooks")}
        given = settings.metrics_port
        self.probes["gateway"] = free_port() if given is None else given
        self.services: dict[str, ChildProcess] = {}
        self.commands = dict(MODULES)
        self.helper_status = HelperStatus(settings.data_dir)
        self._database_pending = False

    @property
    def bootstrap(self) -> str:
        """Kafka's address; a local broker keeps its port over a restart."""
        return self.servers.bootstrap_servers

    @property
    def database_url(self) -> str:
        """PostgreSQL's URL."""
        return self.servers.database_url

    @property
    def secured(self) -> bool:
        """True if each service has a separate user on both servers."""
        return self.settings.access == "secured"

    @property
    def admin(self) -> KafkaAccess:
        """Kafka access with all rights. `database_url` contains PostgreSQL's owner."""
        local = self.servers.kafka
        if local is not None and local.admin_password:
            return KafkaAccess(self.bootstrap, ADMIN, local.admin_password, "PLAIN")
        return kafka_access(structs.replace(self.settings, kafka=self.bootstrap))

    @property
    def operator(self) -> Settings:
        """Settings for the commands of an operator."""
        return self.settings_of("operator")

    def settings_of(self, role: str) -> Settings:
        """Settings of a process in this role: server addresses, and its user there.

        Secrets that the role does not need are left out.
        """
        settings = structs.replace(
            self.settings, kafka=self.bootstrap, database_url=self.database_url
        )
        return as_role(settings, role) if self.secured else only_needed(settings, role)

    def prepare(
        self, shares_ppm: Mapping[str, int] | None = None, *, helpers_required: bool = True
    ) -> None:
        """Create topics and tables, and list symbols before the first order.

        Without `helpers_required`, tables that cannot be created are reported as a helper that is
        down, and are tried again at each start of the sink.
        """
        if self.secured:
            apply_kafka_roles(self.settings, self.admin)
        operator = self.operator
        admin = TopicsAdmin(kafka_access(operator), self.topic_prefix)
        topology = admin.apply(self.settings.partitions, self.settings.durability)
        self.durability = topology.durability
        try:
            self.prepare_database()
        except START_ERRORS as error:
            if helpers_required:
                raise
            self._database_pending = True
            self.helper_status.down("sink", start_failure(error))
        if shares_ppm:
            apply_shares(operator, shares_ppm)

    def prepare_database(self) -> None:
        """Create the tables and, with access control, the roles' rights."""
        migrate(self.database_url)
        if self.secured:
            apply_postgres_roles(self.settings, self.database_url)
        self._database_pending = False

    def start_all(
        self, names: Collection[str] = tuple(MODULES), *, helpers_required: bool = True
    ) -> None:
        """Start these services and wait until each is ready.

        Without `helpers_required`, a helper that does not become ready is reported as down.
        """
        required = set(names) if helpers_required else ESSENTIAL
        for name in names:
            self.services[name] = self._child(name)
            if name != "sink" or not self._database_pending:
                self.start(name)
        for name in sorted(names, key=lambda name: name not in required):
            if name in required:
                self.wait_ready(name)
            else:
                self._wait_helper(name)

    def start(self, name: str) -> None:
        """Start a stopped service again."""
        if name == "sink" and self._database_pending:
            self.prepare_database()
        self.services[name].start()

    def make_standby(self) -> None:
        """Let the next start of the matcher follow a newer one, and take over when that stops."""
        self.commands["matcher"] = (*MODULES["matcher"], "--standby")
        self.services["matcher"] = self._child("matcher")

    def _wait_helper(self, name: str) -> None:
        child = self.services[name]
        if self.helper_status.detail(name) is not None:
            return
        ready = wait_ready(self._base(name), HELPER_READY_TIMEOUT_S, ended=lambda: not child.alive)
        if ready is not None:
            down = UNREADY if child.alive else ended(child.exit_code, child.log_file.name)
            self.helper_status.down(name, down)

    def stop(self, name: str) -> int | None:
        """Stop a service by SIGTERM and return its exit code."""
        return self.services[name].stop(grace_s=STOP_GRACE_S)

    def stop_all(self) -> None:
        """Stop every service, the one that takes orders first."""
        for name in STOP_ORDER:
            if name in self.services:
                self.stop(name)

    def wait_ready(self, name: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until `/readyz` is 200. Raises UnavailableError with the service's own last line."""
        child = self.services[name]
        if wait_ready(self._base(name), timeout_s, ended=lambda: not child.alive) is None:
            return
        code, why = child.exit_code, f"was not ready after {timeout_s:.0f} s"
        if code is not None:
            why = f"ended with exit code {code} before it was ready"
            # These codes are errors that the service writes as its last line.
            if code > 1:
                why += f": {child.tail_of_log(1).removeprefix(f'{name}: ')}"
        raise UnavailableError(f"{name} {why}; its log is {child.log_file}")

    def ready(self, name: str) -> bool:
        """True if the service is ready now."""
        return not_ready(self._base(name)) is None

    def _base(self, name: str) -> str:
        port = None if name == "gateway" else self.probes.get(name)
        return self.url if port is None else f"http://{LOOPBACK}:{port}"

    def facts(self) -> Running:
        """The facts for the banner."""
        return Running(
            url=self.url,
            metrics_port=self.probes["gateway"],
            admin_key_file=admin_key_file(self.data_dir, os.environ),
            durability=self.durability,
            data_dir=self.data_dir,
            log_dir=self.log_dir,
            bootstrap=self.bootstrap,
            database_url=without_password(self.database_url),
            access_dir=password_file(self.data_dir, "") if self.secured else None,
            degraded=self.helper_status.all_down(),
        )

    def endpoints(self) -> Endpoints:
        """Addresses for commands that find this exchange by its data directory."""
        asks = self.operator
        return Endpoints(
            asks.kafka,
            asks.database_url,
            self.url,
            asks.kafka_user,
            str(asks.kafka_password_file or ""),
        )

    def _child(self, name: str) -> ChildProcess:
        settings = self.settings_of(name)
        overrides = {
            "EXCHANGE_METRICS_HOST": LOOPBACK,
            "EXCHANGE_METRICS_PORT": str(self.probes.get(name, 0)),
        }
        base = os.environ if settings.database_url else without_postgres_variables(os.environ)
        return ChildProcess(
            [sys.executable, "-m", *self.commands[name]],
            log_file=self.log_dir / f"{name}.log",
            env=environment(base, settings, overrides),
            cwd=self.data_dir,
        )


@contextlib.contextmanager
def running_exchange(
    data_dir: Path,
    settings: Settings | None = None,
    *,
    profile: Profile = "short",
    shares_ppm: Mapping[str, int] | None = None,
    helpers_required: bool = True,
) -> Iterator[LocalExchange]:
    """Run an exchange inside this context, ready at its start. Processes that die are not
    restarted.

    Port 0 takes a free one; `shares_ppm` lists symbols. Without `helpers_required`, a helper that
    does not start is listed in `helper_status` instead of ending the start.
    Raises BusyError, UnavailableError, TopicsError, InfraError.
    """
    settings = settings_here(data_dir.resolve(), settings or Settings(port=0))
    with contextlib.ExitStack() as ending:
        servers = LocalServers(
            settings.data_dir,
            profile=profile,
            kafka=settings.kafka or None,
            database_url=settings.database_url or None,
            secured=settings.access == "secured",
        )
        if servers.kafka is not None:
            servers.kafka.uses_aot_cache = settings.aot_cache == "on"
        failure = _start(servers, helpers_required=helpers_required)
        ending.callback(servers.stop)
        key = settings.admin_key or admin_key(settings.data_dir)
        stack = LocalExchange(structs.replace(unlimited(settings), admin_key=key), servers)
        stack.helper_status.clear()
        ending.callback(stack.helper_status.clear)
        if failure is not None:
            stack.helper_status.down(POSTGRES, start_failure(failure))
        stack.prepare(shares_ppm, helpers_required=helpers_required)
        ending.callback(stack.stop_all)
        stack.start_all(helpers_required=helpers_required)
        ending.callback(forget_endpoints, settings.data_dir)
        write_endpoints(settings.data_dir, stack.endpoints())
        yield stack


def _start(servers: LocalServers, *, helpers_required: bool) -> Exception | None:
    """Start the servers; returns the error of a PostgreSQL that is not required."""
    try:
        servers.start(postgres_required=helpers_required)
    except FolderBusyError as error:
        raise BusyError(str(error)) from error
    except OSError as error:
        place = error.filename or servers.data_dir
        raise BusyError(
            f"cannot use {place}: {error.strerror}; correct it, or set EXCHANGE_DATA_DIR"
        ) from error
    return servers.postgres_failure
