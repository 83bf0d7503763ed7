"""The sink queues each side of a broker's trades exactly once if the broker has a URL."""

import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from msgspec import structs

from conformance.api import eventually
from schemas.brokers import Broker, WebhookSecret, webhook_secret
from services.runtime.kafka.consumer import Partition
from services.sink.loop import Sink
from services.sink.migrate import migrate
from services.sink.store import Store
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    running_sink,
)
from tests.support.reader_flow import Flow
from tests.support.reader_outcomes import T0, batch, fill, limit
from tests.support.servers import DatabaseServer, KafkaServer

SECRETS = (WebhookSecret(webhook_secret(bytes(24))),)
Queued = set[tuple[str, str, str, int]]


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def urls(postgres: DatabaseServer) -> list[str]:
    made = [postgres.create_database(f"queue_{uuid.uuid4().hex[:12]}") for _ in range(2)]
    for url in made:
        migrate(url)
    return made


def make_broker(url: str | None, broker_id: str | None = None) -> Broker:
    number = broker_id or str(uuid.uuid4())
    return Broker(number, "Broker", "0" * 64, T0, url, SECRETS if url else ())


def queued(url: str) -> Queued:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT broker_id::text, event_id::text, kind, order_remaining_quantity"
            " FROM webhook_deliveries"
        ).fetchall()
    assert len(rows) == len({row[:3] for row in rows})
    return set(rows)


def has_begun(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM log_positions").fetchone()
    return row == (2,)


def sides_of_stored_trades(url: str, with_webhook: set[str]) -> set[tuple[str, str, str]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT buy_broker_id::text, id::text, 'bid' FROM trades"
            " UNION ALL SELECT sell_broker_id::text, id::text, 'ask' FROM trades"
        ).fetchall()
    return {row for row in rows if row[0] in with_webhook}


def test_sides_of_one_order_have_the_remaining_quantity_after_each_trade(
    log: HandwrittenLog, urls: list[str]
) -> None:
    with_webhook, plain = make_broker("http://a.invalid/"), make_broker(None)
    for broker in (with_webhook, plain):
        log.append_broker(broker)
    one, two = with_webhook.broker_id, plain.broker_id
    makers = [limit(1, one, "ask", 10, 1000), limit(2, two, "ask", 20, 1000)]
    fills = (fill(1, 1, one, 1000, 10, 0), fill(2, 2, two, 1000, 15, 5))
    log.append(batch(*makers, limit(3, one, "bid", 40, 1000, left=15, fills=fills)))
    with running_sink(log.source(), urls[0]):
        eventually("the sink stores it", lambda: log.stored_up_to(urls[0]))
    assert queued(urls[0]) == {
        (one, fills[0].trade_id, "ask", 0),
        (one, fills[0].trade_id, "bid", 30),
        (one, fills[1].trade_id, "bid", 15),
    }


class LateToBrokers(Sink):
    """A sink that does not follow the brokers' topic after its start, as if it were very slow."""

    def _open(self) -> Store:
        store = super()._open()
        executions = self._executions
        self._consumer.assign(
            {Partition(executions, n): at.next_record for n, at in self._stored.items()}
        )
        return store


@pytest.mark.parametrize("kind", [Sink, LateToBrokers])
def test_broker_that_trades_right_after_registration_has_its_sides_queued(
    log: HandwrittenLog, urls: list[str], kind: type[Sink]
) -> None:
    expected = 0
    with running_sink(log.source(), urls[0], kind=kind):
        # The sink has started: brokers registered from now on are not among those read at its
        # start.
        eventually("the sink has begun", lambda: has_begun(urls[0]))
        for number in range(25):
            broker = make_broker("http://a.invalid/")
            first = 2 * number
            log.append_broker(broker)
            trade = fill(number + 1, first, broker.broker_id, 1000, 5, 0)
            log.append(
                batch(
                    limit(first, broker.broker_id, "ask", 5, 1000),
                    limit(
                        first + 1,
                        broker.broker_id,
                        "bid",
                        5,
                        1000,
                        left=0,
                        closed="filled",
                        fills=(trade,),
                    ),
                    first=first,
                )
            )
            expected += 2
        eventually("the sink stores all", lambda: log.stored_up_to(urls[0]))
    assert len(queued(urls[0])) == expected


def test_two_sinks_and_a_second_database_queue_the_same_sides_once(
    log: HandwrittenLog, urls: list[str]
) -> None:
    flows = [Flow(partition, partition) for partition in range(2)]
    started = [flow.batch(200) for flow in flows]
    brokers = sorted({sender for entry in started for sender in traders(entry)})
    with_webhook = set(brokers[::2])
    for broker_id in brokers:
        log.append_broker(
            make_broker("http://a.invalid/" if broker_id in with_webhook else None, broker_id)
        )
    for entry in started:
        log.append(entry)
    go_on = threading.Event()

    def more() -> None:
        for _ in range(20):
            for flow in flows:
                log.append(flow.batch(50))
        go_on.set()

    with running_sink(log.source(), urls[0]), running_sink(log.source(), urls[0]):
        writer = threading.Thread(target=more)
        writer.start()
        while not go_on.wait(0.3):
            # Terminates a random session of either sink during its work.
            with psycopg.connect(urls[0]) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " ORDER BY random() LIMIT 1"
                )
        writer.join()
        eventually("one of the sinks stores all", lambda: log.stored_up_to(urls[0]))
    with running_sink(log.source(), urls[1]):
        eventually("the sink stores all", lambda: log.stored_up_to(urls[1]))
    assert len(queued(urls[0])) > 50
    assert queued(urls[0]) == queued(urls[1])
    queued_sides = {row[:3] for row in queued(urls[0])}
    assert queued_sides == sides_of_stored_trades(urls[0], with_webhook)


def traders(entry: object) -> Iterator[str]:
    """Ids of the brokers that have an order accepted in the batch."""
    for outcome in getattr(entry, "outcomes", ()):
        broker_id = getattr(outcome.event, "broker_id", None)
        if broker_id is not None:
            yield broker_id


def test_broker_without_a_url_has_nothing_queued_even_if_it_had_one(
    log: HandwrittenLog, urls: list[str]
) -> None:
    broker = make_broker("http://a.invalid/")
    log.append_broker(broker)
    log.append_broker(structs.replace(broker, webhook_url=None))
    maker = limit(0, broker.broker_id, "ask", 5, 1000)
    fills = (fill(1, 0, broker.broker_id, 1000, 5, 0),)
    taker = limit(1, broker.broker_id, "bid", 5, 1000, left=0, closed="filled", fills=fills)
    log.append(batch(maker, taker))
    with running_sink(log.source(), urls[0]):
        eventually("the sink stores it", lambda: log.stored_up_to(urls[0]))
    assert queued(urls[0]) == set()
