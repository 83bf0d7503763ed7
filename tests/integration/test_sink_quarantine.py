"""Broker records of another program are skipped, counted and listed; other brokers are stored."""

import uuid

import psycopg
import pytest
from msgspec import structs

from conformance.api import eventually
from schemas.brokers import Broker
from schemas.codec import encode
from schemas.topics import BROKERS
from services.runtime.metrics import QUARANTINED
from services.sink.migrate import migrate
from services.sink.store import Store
from tests.integration.test_sink_loop import (
    HandwrittenLog,
    running_sink,
)
from tests.support.reader_outcomes import ALICE, BOB, T0
from tests.support.servers import DatabaseServer, KafkaServer

GOOD = Broker(BOB, "Bob", "0" * 64, T0, "http://a/")
BAD = [
    encode(structs.replace(GOOD, broker_id=ALICE, webhook_url="http://a/\0")),
    encode(structs.replace(GOOD, broker_id=ALICE, name="a\0b")),
    encode(GOOD).replace(b'"http://a/"', b"7"),
    encode(GOOD).replace(str(T0).encode(), b'"yesterday"'),
    b"\xff\0 no JSON",
]


@pytest.fixture
def log(kafka: KafkaServer) -> HandwrittenLog:
    return HandwrittenLog(kafka.bootstrap_servers)


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    database_url = postgres.create_database(f"quarantine_{uuid.uuid4().hex[:12]}")
    migrate(database_url)
    return database_url


def stored_brokers(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id::text FROM brokers").fetchall()
    return {broker_id for (broker_id,) in rows}


def quarantined(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT source, item FROM quarantine ORDER BY item").fetchall()


def test_unusable_broker_records_are_skipped_and_listed_once(log: HandwrittenLog, url: str) -> None:
    topic = BROKERS.full_name(log.prefix)
    for value in BAD:
        log.write(value, BROKERS)
    for _ in range(2):
        with running_sink(log.source(), url):
            log.append_broker(GOOD)
            eventually("the broker is stored", lambda: stored_brokers(url) == {BOB})
            eventually("the others are listed", lambda: len(quarantined(url)) == len(BAD))
    assert quarantined(url) == [(topic, f"0@{n}") for n in range(len(BAD))]
    assert QUARANTINED.labels(topic)._value.get() >= len(BAD)


def test_broker_that_postgres_refuses_does_not_keep_others_out(url: str) -> None:
    store = Store(url)
    try:
        refused = store.upsert_brokers(
            [structs.replace(GOOD, broker_id=ALICE, webhook_url="http://a/\0"), GOOD]
        )
    finally:
        store.close()
    assert refused.keys() == {ALICE}
    assert "NUL" in refused[ALICE]
    assert stored_brokers(url) == {BOB}
