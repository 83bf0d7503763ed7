"""Kafka and PostgreSQL for one exchange: started in parallel, stopped in order, one lock."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from infra.broker import LocalKafka
from infra.errors import ServerFailedError
from infra.folder_lock import FolderLock
from infra.jvm import Profile
from infra.postgres import LocalPostgres
from infra.secrets import make_private_folder


class LocalServers:
    """Servers that `kafka` and `database_url` do not replace; they run in the data directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        profile: Profile = "short",
        kafka: str | None = None,
        database_url: str | None = None,
        cache_dir: Path | None = None,
        secured: bool = False,
    ) -> None:
        """`kafka` (bootstrap servers) and `database_url` name servers that run already.

        `secured`: the local Kafka requires a user, as PostgreSQL always does.
        """
        self.data_dir = data_dir.resolve()
        self._lock = FolderLock(self.data_dir)
        self._kafka_elsewhere = kafka
        self._database_elsewhere = database_url
        self.kafka = (
            None
            if kafka
            else LocalKafka(
                self.data_dir / "kafka", profile=profile, cache_dir=cache_dir, secured=secured
            )
        )
        self.postgres = None if database_url else LocalPostgres(self.data_dir / "postgres")
        self.postgres_failure: Exception | None = None

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers if self.kafka else str(self._kafka_elsewhere)

    @property
    def database_url(self) -> str:
        return self.postgres.url if self.postgres else str(self._database_elsewhere)

    def start(self, *, postgres_required: bool = True) -> None:
        """Return when both answer. If either fails, the other is stopped and its error raised.

        Without `postgres_required`, a PostgreSQL whose program ran and failed does not count: its
        error is kept in `postgres_failure`, and it can be started again.
        """
        make_private_folder(self.data_dir)
        self._lock.acquire()
        try:
            with ThreadPoolExecutor(max_workers=2) as pool:
                starts = {server: pool.submit(server.start) for server in self._servers()}
            for server, start in starts.items():
                try:
                    start.result()
                except (ServerFailedError, psycopg.Error) as error:
                    # Only a server that was launched has the port and password of its URL.
                    if postgres_required or server is not self.postgres or not server.launched:
                        raise
                    self.postgres_failure = error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """The database first: it is derived from the log, so the log goes last."""
        for server in self._servers():
            server.stop()
        self._lock.release()

    def _servers(self) -> list[LocalPostgres | LocalKafka]:
        return [server for server in (self.postgres, self.kafka) if server is not None]

    def __enter__(self) -> "LocalServers":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
