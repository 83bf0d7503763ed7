"""A power cut that takes the newest records of some topics, and no other record and no row.

Everything goes on behind what is left: no order is lost, and no public record appears twice. Where
executions are lost, PostgreSQL is ahead of them, and snapshots may be.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.api import Api, eventually
from infra.broker import LocalKafka
from infra.postgres import LocalPostgres
from schemas.topics import BOOK, EXECUTIONS, TRADES, Topic
from services.audit.run import run_audit
from services.local.exchange import LocalExchange, running_exchange
from services.runtime.errors import DeliveryError
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from tests.support.clients import LoggingClients
from tests.support.exchange import OUTCOME_WAIT_MS
from tests.support.lost_tail import lose_tail

SYMBOLS = ["AAA", "BBB", "CCC", "DDD"]
ORDERS = 120
PARTITIONS = 2


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with LocalPostgres(tmp_path_factory.mktemp("lost") / "postgres") as server:
        yield server


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    server = LocalKafka(tmp_path / "kafka")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def settings(tmp_path: Path, database: LocalPostgres, kafka: LocalKafka) -> Settings:
    """Settings of an exchange on a Kafka and a database of its own."""
    return Settings(
        port=0,
        kafka=kafka.bootstrap_servers,
        database_url=database.create_database(f"lost{tmp_path.name}".lower()),
        durability="process",
        snapshot_every=25,
        outcome_wait_ms=OUTCOME_WAIT_MS,
    )


def placing_clients(stack: LocalExchange) -> LoggingClients:
    answer = Api(stack.url, stack.admin_key).call("POST", "/register", {"name": "broker"})
    broker = Api(stack.url, str(answer.body["api_key"]))
    return LoggingClients(broker, str(answer.body["broker_id"]), SYMBOLS)


def take(kafka: LocalKafka, lost: list[tuple[Topic, int]]) -> None:
    """Remove the newest batches of each topic."""
    for topic, count in lost:
        for number in range(PARTITIONS):
            lose_tail(kafka.data_dir / "log" / f"{topic.name}-{number}", count)


def go_on(stack: LocalExchange, broker: Api) -> set[int | None]:
    """Start each service again that ends, until an order is placed; the exit codes."""
    codes = set()

    def placed() -> bool:
        for name, child in stack.services.items():
            if not child.alive:
                codes.add(child.exit_code)
                stack.start(name)
        ready = all(map(stack.ready, stack.services))
        return ready and broker.place("bid", "ZZZ", 1, 100).status == 201

    eventually("an order", placed, timeout_s=60.0)
    return codes


@pytest.mark.parametrize(
    "lost",
    [
        [(TRADES, 1), (BOOK, 1)],
        [(TRADES, 12), (BOOK, 6)],
        [(EXECUTIONS, 30)],
        [(EXECUTIONS, 10_000), (TRADES, 12), (BOOK, 6)],
    ],
    ids=["commit markers", "public records", "executions", "all executions"],
)
@pytest.mark.timeout(200)
def test_exchange_after_a_loss_of_newest_records_goes_on_with_every_order(
    tmp_path: Path, kafka: LocalKafka, settings: Settings, lost: list[tuple[Topic, int]]
) -> None:
    with running_exchange(tmp_path / "services", settings) as stack:
        clients = placing_clients(stack)
        with clients.placing():
            eventually("orders", lambda: clients.matched_since(0.0) > ORDERS)
        # Everything is published and stored.
        assert run_audit(settings, clients.lines(), 30.0, Progress()).holds
        kafka.kill()
        for child in stack.services.values():
            child.kill()
    take(kafka, lost)
    kafka.start()
    with running_exchange(tmp_path / "services", settings) as stack:
        placed = Api(stack.url, clients.broker.key).place("bid", "ZZZ", 1, 100)
        report = run_audit(settings, clients.lines(), 30.0, Progress())
    assert report.holds, "\n".join(report.lines())
    assert report["acknowledged"].checked > ORDERS
    assert placed.status == 201


@pytest.mark.parametrize("count", [2, 10_000], ids=["newest", "all"])
@pytest.mark.timeout(200)
def test_services_that_outlive_a_loss_of_executions_go_on_with_every_order(
    tmp_path: Path, kafka: LocalKafka, settings: Settings, count: int
) -> None:
    with running_exchange(tmp_path / "services", settings) as stack:
        clients = placing_clients(stack)
        with clients.placing():
            eventually("orders", lambda: clients.matched_since(0.0) > ORDERS)
            kafka.kill()
            take(kafka, [(EXECUTIONS, count)])
            kafka.start()
            codes = go_on(stack, clients.broker)
        report = run_audit(settings, clients.lines(), 30.0, Progress())
    assert report.holds, "\n".join(report.lines())
    # A record that was read or acknowledged has left the log.
    assert codes == {DeliveryError.exit_code}
