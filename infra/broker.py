"""One Apache Kafka node (KRaft) on this machine: format, start, ready, stop, and faults for tests.

A broker keeps its port as long as its object lives, so clients find it again after a restart.
Alone it is a quorum of one; as a member of several (see cluster.py) it is given the whole quorum.
"""

import contextlib
import json
import logging
import string
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.aot_cache import cache_file, fault, in_use, with_cache
from infra.errors import ServerFailedError
from infra.folder_lock import wait_until_unused
from infra.java import find_java
from infra.jvm import FLAGS, Jvm, Profile
from infra.kafka_jars import default_cache_dir, fetch_jars
from infra.local_server import PORT_ATTEMPTS, LocalServer
from infra.ports import LOOPBACK, is_free, port_to_use
from infra.process import ChildProcess, run_tool, tail
from infra.process_table import listens
from infra.quorum import Node, Quorum, random_id
from infra.secrets import read_or_create_secret, write_private

TEMPLATE = Path(__file__).with_name("kafka") / "server.properties"
SECURED = TEMPLATE.with_name("secured.properties")
# Who may do everything on a secured broker, and the broker itself.
ADMIN = "admin"
# Measured: 2 s to start, 7 s after kill -9; the limit is for a busy machine.
READY_TIMEOUT_S = 90.0
_POLL_S = 0.05

# librdkafka prints a line for each attempt while the broker is not there yet.
_log = logging.getLogger(__name__)
_silent = logging.getLogger("infra.broker.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class LocalKafka(LocalServer):
    """The data directory holds everything: settings, ports, log segments and log files."""

    name = "the broker"

    def __init__(
        self,
        data_dir: Path,
        *,
        profile: Profile = "short",
        cache_dir: Path | None = None,
        jvm: Jvm | None = None,
        member: tuple[Quorum, Node] | None = None,
        secured: bool = False,
    ) -> None:
        """`jvm` replaces the one that the profile leads to, and runs without an AOT cache.

        `secured`: clients need a user, and an ACL for every operation; ADMIN exists at the start.
        """
        super().__init__(data_dir)
        self._profile: Profile = profile
        self.cache_dir = (cache_dir or default_cache_dir()).resolve()
        # The AOT cache is used if there is one.
        self.uses_aot_cache = jvm is None
        self._jvm = jvm
        self._member = member
        self._secured = secured

    @property
    def bootstrap_servers(self) -> str:
        """Its own address only."""
        if self._member is None:
            raise ServerFailedError("the broker has no port before its first start")
        return f"{LOOPBACK}:{self._member[1].broker_port}"

    @property
    def admin_password(self) -> str:
        """Password of ADMIN for the mechanism PLAIN; empty on a broker without authentication."""
        return read_or_create_secret(self.data_dir / "admin-password") if self._secured else ""

    def admin_config(self) -> dict[str, str]:
        """For a client that may do everything."""
        config = {"bootstrap.servers": self.bootstrap_servers}
        if self._secured:
            config |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": ADMIN,
                "sasl.password": self.admin_password,
            }
        return config

    def start(self) -> None:
        """Start it, also again after `stop` or `kill`, and return when it answers requests."""
        if self.alive:
            raise ServerFailedError("the broker runs already")
        self._lock.acquire()
        try:
            wait_until_unused(self.data_dir, "java")
            jvm = self.jvm()
            file = self._usable_cache(jvm) if self.uses_aot_cache else None
            self._run(with_cache(jvm, file) if file else jvm)
            if file and not in_use(file, self.process.pid):
                _ignore(file, f"does not fit: {self.process.log_file} has the reason")
                # The next training run makes a new one.
                with contextlib.suppress(OSError):
                    file.unlink()
        except BaseException:
            self.kill()
            raise

    def jvm(self) -> Jvm:
        """Java, jars and flags, without a cache. Fetches the jars if they are not there."""
        if self._jvm is None:
            self._jvm = Jvm(find_java(), fetch_jars(self.cache_dir), FLAGS[self._profile])
        return self._jvm

    def _usable_cache(self, jvm: Jvm) -> Path | None:
        file = cache_file(jvm)
        try:
            found = None if file is None else fault(file)
        except FileNotFoundError:
            return None
        if file is not None and found is not None:
            _ignore(file, found)
            return None
        return file

    def _run(self, jvm: Jvm) -> None:
        """Start the program on the ports of the last start, at first on others if one is taken.

        Another program can take a port after it was found free.
        """
        first = self._member is None
        for attempts_left in reversed(range(PORT_ATTEMPTS)):
            quorum, node = self._member = self._take_ports()
            write_private(self.data_dir / "server.properties", self._settings(quorum, node))
            self._format(jvm, quorum)
            self._process = ChildProcess(
                jvm.command("kafka.Kafka", ["server.properties"]),
                log_file=self.data_dir / "output.log",
                env=self._environment(),
                cwd=self.data_dir,
            )
            self._process.start()
            try:
                self._wait_until_ready(node)
            except ServerFailedError:
                taken = not all(is_free(port) for port in node.ports)
                if not first or not attempts_left or self.alive or not taken:
                    raise
                self._member = None
            else:
                return

    def tail_of_log(self, lines: int = 20) -> str:
        """The JVM's own words, then the broker's."""
        return f"{self.process.tail_of_log(lines)}\n{tail(self.data_dir / 'server.log', lines)}"

    def _environment(self) -> dict[str, str] | None:
        # The broker's environment; None: that of a server. Tests replace it.
        return None

    def _settings(self, quorum: Quorum, node: Node) -> str:
        text, values = TEMPLATE.read_text(), quorum.settings(node)
        values["protocol"] = "PLAINTEXT"
        if self._secured:
            text += SECURED.read_text()
            password = self.admin_password
            values |= {
                "protocol": "SASL_PLAINTEXT",
                "admin": ADMIN,
                "login": "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'username="{ADMIN}" password="{password}" user_{ADMIN}="{password}";',
            }
        return string.Template(text).substitute(values)

    def _take_ports(self) -> tuple[Quorum, Node]:
        if self._member is None:
            return self._alone()
        for port in self._member[1].ports:
            if not is_free(port):
                raise ServerFailedError(
                    f"port {port} was taken by another program while the broker was down"
                )
        return self._member

    def _alone(self) -> tuple[Quorum, Node]:
        remembered: list[int | None] = [None, None]
        memory = self.data_dir / "ports.json"
        with contextlib.suppress(OSError, ValueError):
            remembered = list(json.loads(memory.read_text()))
        broker = port_to_use(remembered[0])
        controller = port_to_use(remembered[1])
        while controller == broker:
            controller = port_to_use(None)
        memory.write_text(json.dumps([broker, controller]))
        node = Node(1, broker, controller, random_id())
        return Quorum(random_id(), (node,)), node

    def _format(self, jvm: Jvm, quorum: Quorum) -> None:
        if (self.data_dir / "log" / "meta.properties").exists():
            return
        arguments = ["format", "--ignore-formatted", *quorum.format_arguments()]
        command = jvm.command(
            "kafka.tools.StorageTool", [*arguments, "--config", "server.properties"]
        )
        run_tool(command, cwd=self.data_dir)

    def _wait_until_ready(self, node: Node) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self.alive:
                raise ServerFailedError(
                    f"the broker ended with exit code {self.process.exit_code} before it was "
                    f"ready. Its log is in {self.data_dir}; the last lines:\n{self.tail_of_log()}"
                )
            # A client is only made when there is a listener: it would back off meanwhile.
            if listens(self.process.pid, node.broker_port) and self._answers(node):
                return
            time.sleep(_POLL_S)
        raise ServerFailedError(
            f"the broker was not ready after {READY_TIMEOUT_S:.0f} s. Its log is in "
            f"{self.data_dir}; the last lines:\n{self.tail_of_log()}"
        )

    def _answers(self, node: Node) -> bool:
        client = AdminClient({**self.admin_config()}, logger=_silent)
        try:
            return node.node_id in client.list_topics(timeout=5).brokers
        except KafkaException:
            return False


def _ignore(file: Path, why: str) -> None:
    _log.warning("Kafka starts without its AOT cache: %s %s", file, why)
