"""Foreign transactional producers on the topics: markers, aborted records, open transactions.

A Java framework with exactly-once semantics writes this way. Markers occupy offsets that no
consumer gets; nothing that such a producer does may stop the market or keep it from starting.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from conformance.api import Api, eventually
from infra.ports import free_port
from infra.servers import LocalServers
from schemas.brokers import Broker
from schemas.codec import decode_snapshot, encode
from schemas.commands import PlaceOrder
from schemas.executions import Outcomes
from schemas.ids import order_id
from schemas.snapshots import SnapshotCommit
from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, SNAPSHOTS, Topic
from services.audit.run import run_audit
from services.local.exchange import LocalExchange
from services.replay.run import ReplayRequest, run_replay
from services.runtime.clock import now_ms
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from tests.integration.audited_market import create_database
from tests.support.exchange import OUTCOME_WAIT_MS, Exchange

SERVICES = ("sink", "matcher", "gateway")
# Snapshots are due often, so that a matcher that cannot confirm its ownership shows.
SNAPSHOT_EVERY = 20


@pytest.fixture(scope="module")
def market(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange on the shared servers with separate topics and a separate database."""
    data_dir = tmp_path_factory.mktemp("foreign")
    url = create_database(exchange.database_url, "foreign")
    settings = Settings(
        kafka=exchange.bootstrap,
        database_url=url,
        topic_prefix=f"foreign{time.time_ns()}.",
        partitions=1,
        snapshot_every=SNAPSHOT_EVERY,
        outcome_wait_ms=OUTCOME_WAIT_MS,
        admin_key="an admin key that is long",
        port=free_port(),
        data_dir=data_dir,
    )
    stack = LocalExchange(
        settings, LocalServers(data_dir, kafka=exchange.bootstrap, database_url=url)
    )
    stack.prepare()
    try:
        stack.start_all(SERVICES)
        yield Exchange(stack)
    finally:
        stack.stop_all()


def foreign_producer(market: Exchange) -> Producer:
    """A transactional producer of another program."""
    name = f"foreign-{uuid.uuid4().hex[:8]}"
    producer = Producer(market.access.config() | {"transactional.id": name})
    producer.init_transactions(20)
    return producer


@contextmanager
def transaction(market: Exchange, *, commit: bool = True) -> Iterator[Producer]:
    """A transaction of a foreign producer around the records sent inside."""
    producer = foreign_producer(market)
    producer.begin_transaction()
    yield producer
    producer.flush(10)
    if commit:
        producer.commit_transaction(20)
    else:
        producer.abort_transaction(20)


def send(
    market: Exchange, producer: Producer, topic: Topic, value: bytes, key: bytes = b""
) -> None:
    producer.produce(topic.full_name(market.topic_prefix), value, key or None, 0)
    producer.flush(10)


def restart(market: Exchange, *names: str) -> None:
    for name in names:
        market.stack.stop(name)
        market.stack.start(name)
    for name in names:
        market.stack.wait_ready(name, 30)


def require_trading(broker: Api, symbol: str) -> None:
    """Two orders trade, each answered with its outcome at once."""
    for side, remaining in (("bid", 1), ("ask", 0)):
        answer = broker.place(side, symbol, 1, 100)
        assert (answer.status, answer.body["remaining_quantity"]) == (201, remaining), answer


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
def test_services_start_after_a_transaction_on_brokers(market: Exchange, commit: bool) -> None:
    broker = market.broker()
    foreign = Broker(str(uuid.uuid4()), "stranger", uuid.uuid4().hex, created_at=1)
    with transaction(market, commit=commit) as producer:
        send(market, producer, BROKERS, encode(foreign), foreign.broker_id.encode())
    restart(market, "sink", "gateway")
    require_trading(broker, market.symbol())


def test_matcher_snapshots_after_a_transaction_on_executions(market: Exchange) -> None:
    broker = market.broker()
    # Of an epoch that no claim has: every reader drops it.
    with transaction(market) as producer:
        send(market, producer, EXECUTIONS, encode(Outcomes(-5, 0, ())))
    end = market.log_ends()[0]
    for _ in range(SNAPSHOT_EVERY):
        require_trading(broker, market.symbol())
    # Another thread writes it, and a stop abandons it. It confirms its ownership up to the end of
    # the executions, so that one of a later command has passed the transaction.
    eventually("a snapshot", lambda: newest_snapshot(market) > end)
    log_file = market.stack.services["matcher"].log_file
    before_restart = len(log_file.read_text())
    restart(market, "sink", "gateway", "matcher")
    assert "snapshot loaded" in log_file.read_text()[before_restart:]
    require_trading(broker, market.symbol())


def newest_snapshot(market: Exchange) -> int:
    """The next command of the newest committed snapshot, or 0."""
    records = map(decode_snapshot, market.values(SNAPSHOTS, 0))
    return max((one.next_command for one in records if isinstance(one, SnapshotCommit)), default=0)


def foreign_order(symbol: str, broker_id: str) -> PlaceOrder:
    """A bid that a foreign program writes to the command log itself."""
    new = order_id(now_ms(), 0, uuid.uuid4().int)
    return PlaceOrder(new, broker_id, "1", symbol, "bid", "limit", 5, 100)


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
def test_orders_trade_after_a_transaction_on_commands(market: Exchange, commit: bool) -> None:
    registered = market.admin().call("POST", "/register", {"name": "foreign"}).body
    broker = Api(market.url, registered["api_key"])
    order = foreign_order(market.symbol(), registered["broker_id"])
    with transaction(market, commit=commit) as producer:
        send(market, producer, COMMANDS, encode(order))
    # The marker is the last offset of the log now, and counts as reached.
    assert broker.get(f"/orders/{order_id(1, 0, 1)}").status == 404
    # A record counts once it is in the log, also if its transaction is aborted.
    assert broker.order(order.order_id)["remaining_quantity"] == 5
    require_trading(broker, market.symbol())
    restart(market, "matcher")
    require_trading(broker, market.symbol())


def test_orders_trade_during_an_open_transaction(market: Exchange) -> None:
    broker = market.broker()
    with transaction(market, commit=False) as producer:
        send(market, producer, COMMANDS, b"not a command")
        for _ in range(5):
            require_trading(broker, market.symbol())


def test_replay_and_audit_hold_after_transactions(market: Exchange) -> None:
    broker = market.broker()
    with transaction(market) as producer:
        send(market, producer, COMMANDS, b"not a command")
    require_trading(broker, market.symbol())
    with transaction(market, commit=False) as producer:
        send(market, producer, COMMANDS, b"not a command")
    settings = market.stack.operator
    eventually("outcomes", lambda: len(market.outcomes(0)) == market.log_ends()[0])
    for request in (
        ReplayRequest(0, verify=True),
        ReplayRequest(0, verify=True, from_snapshot=True),
    ):
        found = run_replay(settings, request, Progress()).summary(verified=True)
        assert (found.differences, found.not_recorded) == (0, 0), found
        assert found.next_offset == market.log_ends()[0]
    report = run_audit(settings, None, 30.0, Progress())
    assert report.holds, "\n".join(report.lines())
