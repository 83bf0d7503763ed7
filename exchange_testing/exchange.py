"""A whole exchange in containers: Kafka, PostgreSQL, and every service in one container.

Start: 1. network, 2. Kafka and PostgreSQL, 3. the services. It is up when all of them are ready.
All started containers are removed, also after an error.
"""

import http.client
import json
import secrets
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Self

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from exchange_testing import images
from exchange_testing.engine import engine, settle_reaper
from exchange_testing.errors import ContainersError
from exchange_testing.kafka import ALIAS as KAFKA_ALIAS
from exchange_testing.kafka import KafkaContainer
from exchange_testing.waiting import explained, wait_until_ready

NAME = "the exchange"
USER = DATABASE = "exchange"
POSTGRES_ALIAS = "postgres"
PORT = 8000
DATA_DIR = "/tmp/exchange"  # noqa: S108 - inside of the container, which has no other user
# A start takes seconds on a quiet machine; the limit is for a busy one.
READY_TIMEOUT_S = 180.0
_PROBE_TIMEOUT_S = 2.0
_HTTP_OK = 200
# A proxy of the environment is for other machines: containers of this one are asked directly.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ExchangeContainer:
    """Fresh at every start, and gone after. Ports are chosen free."""

    def __init__(
        self,
        image: str | None = None,
        *,
        kafka_image: str | None = None,
        postgres_image: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Images that are not given: TEST_EXCHANGE_IMAGE, TEST_KAFKA_IMAGE, TEST_POSTGRES_IMAGE,
        else those of `make images`, else the official ones.

        `settings` are EXCHANGE_... variables of the exchange, such as EXCHANGE_PARTITIONS.
        """
        self.admin_key = secrets.token_urlsafe(24)
        self._given = (image, kafka_image, postgres_image)
        self._settings = dict(settings or {})
        self._ending = ExitStack()
        self._addresses: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Base URL of the REST API."""
        return self._address("url")

    @property
    def feed_url(self) -> str:
        """WebSocket of the live feeds and order sessions."""
        return self.url.replace("http://", "ws://") + "/ws"

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's, for clients on this machine."""
        return self._address("bootstrap_servers")

    @property
    def database_url(self) -> str:
        """PostgreSQL's, for clients on this machine."""
        return self._address("database_url")

    def start(self) -> Self:
        """Return when orders are matched. Raises ContainersError, with everything removed."""
        exchange_image, kafka_image, postgres_image = self._images()
        with ExitStack() as ending:
            network = ending.enter_context(_network())
            kafka = KafkaContainer(kafka_image, network=network, network_aliases=[KAFKA_ALIAS])
            _start(ending, kafka, "Kafka")
            postgres = _postgres(postgres_image, network)
            _start(ending, postgres, "PostgreSQL")
            services = self._services(exchange_image, network, kafka, postgres)
            _start(ending, services, NAME)
            self._addresses = {
                "url": f"http://{kafka.host}:{services.get_exposed_port(PORT)}",
                "bootstrap_servers": kafka.bootstrap_servers,
                "database_url": postgres.get_connection_url(host=kafka.host, driver=None),
            }
            wait_until_ready(services, NAME, lambda: self._is_up(services), READY_TIMEOUT_S)
            self._ending = ending.pop_all()
        return self

    def stop(self) -> None:
        """Remove all containers and their network."""
        self._addresses = {}
        self._ending.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _address(self, name: str) -> str:
        if name not in self._addresses:
            raise ContainersError(f"there is no {name} before the exchange is started")
        return self._addresses[name]

    def _images(self) -> list[str]:
        three = (images.EXCHANGE, images.KAFKA, images.POSTGRES)
        with engine() as client:
            settle_reaper(client)
            return [
                image.choose(client, given) for image, given in zip(three, self._given, strict=True)
            ]

    def _services(
        self, image: str, network: Network, kafka: KafkaContainer, postgres: PostgresContainer
    ) -> DockerContainer:
        inside = f"{POSTGRES_ALIAS}:{postgres.port}"
        variables = {
            "EXCHANGE_KAFKA": kafka.inside,
            "EXCHANGE_DATABASE_URL": f"postgresql://{USER}:{postgres.password}@{inside}/{DATABASE}",
            "EXCHANGE_ADMIN_KEY": self.admin_key,
            "EXCHANGE_HOST": "0.0.0.0",  # noqa: S104 - of a container
            "EXCHANGE_PORT": str(PORT),
            "EXCHANGE_DATA_DIR": DATA_DIR,
            # Nothing here outlives the test, so nothing has to survive a loss of power.
            "EXCHANGE_DURABILITY": "process",
        }
        container = DockerContainer(image, network=network, env=variables | self._settings)
        container.with_kwargs(entrypoint=["exchange", "run"])
        return container.with_exposed_ports(PORT)

    def _is_up(self, services: DockerContainer) -> bool:
        """The gateway answers, and `exchange run` has found every service ready."""
        try:
            with _DIRECT.open(f"{self.url}/readyz", timeout=_PROBE_TIMEOUT_S) as answer:
                if answer.status != _HTTP_OK or json.load(answer).get("degraded"):
                    return False
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return services.exec(["test", "-e", f"{DATA_DIR}/endpoints.json"]).exit_code == 0


def _start(ending: ExitStack, container: DockerContainer, name: str) -> None:
    """Removed at the end, also when it does not start."""
    ending.callback(container.stop)
    with explained(container, name):
        container.start()


@contextmanager
def _network() -> Iterator[Network]:
    network = Network()
    try:
        with network:
            yield network
    finally:
        # The library leaves this connection open.
        network._docker.client.close()


def _postgres(image: str, network: Network) -> PostgresContainer:
    return PostgresContainer(
        image,
        username=USER,
        password=secrets.token_urlsafe(24),
        dbname=DATABASE,
        driver=None,
        network=network,
        network_aliases=[POSTGRES_ALIAS],
    )
