"""Search of topics, tables, logs and answers for recognisable secrets sent in every call and fault.

A key occurs only in the answer that shows it, its SHA-256 only in the brokers' records, and a
service's password nowhere. A customer's document number occurs only in the topics and tables that
the order books are rebuilt from.
"""

import json
from collections.abc import Iterator, Mapping

import psycopg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import Struct
from psycopg import sql

from conformance.api import Answer, Api, eventually
from infra.secrets import read_or_create_secret
from schemas.brokers import key_hash
from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, SNAPSHOTS
from services.access.credentials import password_file
from services.local.exchange import running_exchange
from services.runtime.settings import Settings
from tests.support.exchange import OUTCOME_WAIT_MS, Exchange
from tests.support.operator import run_exchange_command

ADMIN_KEY = "canary-admin-key-5e1f0c7d"
WRONG_KEY = "ex_canary-wrong-key-8a4b2f"
# The longest valid document number: one more character makes it invalid.
DOCUMENT = "canary-document-01-x"
BAD_DOCUMENT = "canary-document-02-too-long"
# The name of an unknown field may occur only in the answer to the client that sent it.
FIELD_NAME = "canary-field-name-7c11"
FAULTY_DOCUMENT = "canary-document-03-x"
# So long a call waits for an outcome that does not come.
BRIEFLY = {"Prefer": "wait=1"}


class Place(Struct, frozen=True, order=True):
    """Searched place: its kind and its name within the kind."""

    kind: str
    name: str


class Found(Struct, frozen=True):
    """Everything that the exchange has written or answered, by place."""

    texts: dict[Place, bytes]

    def places(self, mark: str) -> set[Place]:
        return {place for place, text in self.texts.items() if mark.encode() in text}


class Session:
    """Sends calls and keeps every byte of the answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: list[bytes] = []

    def call(
        self,
        key: str | None,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        answer = Api(self._url, key).call(method, path, body, headers)
        self.answers.append(repr(answer.headers).encode() + answer.raw)
        return answer

    def register(self, name: str) -> dict[str, str]:
        # Not kept: the only answer that may contain a key.
        answer = Api(self._url, ADMIN_KEY).call("POST", "/register", {"name": name})
        assert answer.status == 201, answer
        return dict(answer.body)


def order(**changes: object) -> dict[str, object]:
    whole = {"document_number": DOCUMENT, "side": "bid", "symbol": "CANARY", "quantity": 2}
    return whole | {"price": 1000} | changes


def trade(session: Session, seller: str, buyer: str) -> None:
    """Make every call that succeeds, several times so that snapshots are taken."""
    for number in range(10):
        resting = session.call(seller, "POST", "/orders", order(side="ask"))
        session.call(buyer, "POST", "/orders", order(quantity=1, client_order_id=f"c-{number}"))
        order_id = resting.body["order_id"]
        assert session.call(seller, "GET", f"/orders/{order_id}").body["filled_quantity"] == 1
        assert session.call(seller, "POST", f"/orders/{order_id}/cancel").status == 204
    for path in ("/balance", "/stocks/CANARY/price", "/stocks/CANARY/book"):
        assert session.call(buyer, "GET", path).status == 200


def send_invalid_requests(session: Session, broker: str) -> None:
    """Make every mistake that a client can make, each with a secret in it."""
    bad: list[object] = [
        order(document_number=BAD_DOCUMENT),
        order(document_number=BAD_DOCUMENT + "\x00"),
        order(document_number=[BAD_DOCUMENT]),
        order(side=BAD_DOCUMENT, symbol=BAD_DOCUMENT, client_order_id=BAD_DOCUMENT + " "),
        order(**{FIELD_NAME: BAD_DOCUMENT}),
        json.dumps(order(document_number=BAD_DOCUMENT))[:-1].encode(),
        b'{"document_number": "' + BAD_DOCUMENT.encode() + b"\xff",
        json.dumps(order(document_number=BAD_DOCUMENT * 300)).encode(),
        BAD_DOCUMENT.encode(),
    ]
    for body in bad:
        assert session.call(broker, "POST", "/orders", body).status in (400, 413, 422), body
    again = order(document_number=FAULTY_DOCUMENT, client_order_id="c-1")
    first = session.call(broker, "POST", "/orders", order(client_order_id="c-1"))
    assert first.status in (201, 409)
    assert session.call(broker, "POST", "/orders", again).status == 409
    odd = ({"Content-Type": BAD_DOCUMENT}, {"Prefer": BAD_DOCUMENT}, {"Accept": WRONG_KEY})
    for headers in odd:
        session.call(broker, "POST", "/orders", order(price=0), headers)
    for key in (WRONG_KEY, ADMIN_KEY, ADMIN_KEY + "x", broker + "x", None):
        for method, path in (("POST", "/orders"), ("GET", "/balance"), ("POST", "/register")):
            session.call(key, method, path, order(document_number=FAULTY_DOCUMENT))
    for path in (f"/orders/{WRONG_KEY}", f"/stocks/{WRONG_KEY}/book", f"/{WRONG_KEY}"):
        session.call(broker, "GET", f"{path}?key={broker}")
    session.call(broker, WRONG_KEY, "/orders")
    session.call(broker, "PUT", "/orders", order(document_number=BAD_DOCUMENT))
    session.call(None, "GET", "/balance", headers={"Authorization": f"Basic {broker}"})
    session.call(broker, "GET", "/balance", headers={"X-Large": WRONG_KEY * 700})
    session.call(ADMIN_KEY, "POST", "/register", {"name": "x", FIELD_NAME: WRONG_KEY})


def exhaust_budget(session: Session, broker: str) -> None:
    """Read until the rate limit answers 429."""
    statuses = (session.call(broker, "GET", "/balance").status for _ in range(1_000))
    assert 429 in statuses


def provoke_outages(exchange: Exchange, session: Session, broker: str) -> None:
    """Cause the answers that only a fault gives: 202, 503, 504."""
    exchange.stack.stop("matcher")
    pending = session.call(broker, "POST", "/orders", order(), BRIEFLY)
    assert pending.status == 202
    session.call(broker, "GET", f"/orders/{pending.body['order_id']}")
    exchange.kafka.stop()
    for _ in range(3):
        refused = session.call(broker, "POST", "/orders", order(), BRIEFLY)
        assert refused.status in (503, 504)
    assert session.call(ADMIN_KEY, "POST", "/register", {"name": "late"}).status in (503, 504)
    session.call(broker, "POST", f"/orders/{pending.body['order_id']}/cancel", headers=BRIEFLY)
    exchange.kafka.start()
    exchange.stack.start("matcher")
    for name in ("matcher", "sink", "gateway"):
        if not exchange.stack.services[name].alive:
            exchange.stack.start(name)
        exchange.stack.wait_ready(name)
    eventually("matched", lambda: session.call(broker, "GET", "/readyz").status == 200)


def topics(exchange: Exchange) -> Iterator[tuple[Place, bytes]]:
    """Keys, values and headers of every record, undecoded."""
    listed = AdminClient(exchange.access.config()).list_topics(timeout=30).topics
    # To the end of a partition, whose last offset may hold a transaction's marker; also records of
    # aborted transactions are on the disk.
    consumer = Consumer(
        exchange.access.config()
        | {
            "group.id": "canaries",
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
        }
    )
    for name, topic in listed.items():
        texts: list[bytes] = []
        for partition in topic.partitions:
            consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING)])
            while True:
                message = consumer.poll(30)
                assert message is not None
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF
                    break
                texts.append(repr((message.key(), message.value(), message.headers())).encode())
        yield Place("topic", name), b"\n".join(texts)
    consumer.close()


def tables(exchange: Exchange) -> Iterator[tuple[Place, bytes]]:
    """Every row of every table, as text."""
    with psycopg.connect(exchange.database_url) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, name in names:
            table = sql.Identifier(schema, name)
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(table)).fetchall()
            yield Place("table", name), repr(rows).encode()


def logs(exchange: Exchange) -> Iterator[tuple[Place, bytes]]:
    """Log files of every process, including the servers'."""
    for folder in ("logs", "kafka", "postgres"):
        for path in (exchange.stack.data_dir / folder).glob("*.log*"):
            yield Place("log", f"{folder}/{path.name}"), path.read_bytes()


def pages(exchange: Exchange, session: Session) -> Iterator[tuple[Place, bytes]]:
    """Pages that need no key."""
    for path in ("/readyz", "/livez", "/openapi.json", "/docs"):
        yield Place("page", path), session.call(None, "GET", path).raw
    for name, port in exchange.stack.probes.items():
        yield Place("page", name), Api(f"http://127.0.0.1:{port}", None).get("/metrics").raw


class Run(Struct, frozen=True):
    """Results of one run: all texts, the keys that were used, and the services' passwords."""

    found: Found
    keys: dict[str, str]
    passwords: dict[str, str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = Settings(
        port=0,
        admin_key=ADMIN_KEY,
        log_level="DEBUG",
        snapshot_every=10,
        rate_reads=10,
        failed_keys=10,
        delivery_timeout_ms=1_000,
        outcome_wait_ms=OUTCOME_WAIT_MS,
        access="secured",
    )
    with running_exchange(tmp_path_factory.mktemp("canaries"), settings) as stack:
        exchange = Exchange(stack)
        session = Session(exchange.url)
        seller, buyer, gone, greedy = map(session.register, ("Seller", "Buyer", "Gone", "Greedy"))
        trade(session, seller["api_key"], buyer["api_key"])
        send_invalid_requests(session, buyer["api_key"])
        exhaust_budget(session, greedy["api_key"])
        rotation = run_exchange_command(exchange, "broker", "rotate", gone["broker_id"], "--json")
        rotated = json.loads(rotation.stdout)
        assert (
            run_exchange_command(exchange, "broker", "revoke", seller["broker_id"]).returncode == 0
        )
        old = gone["api_key"]
        eventually("old key", lambda: session.call(old, "GET", "/balance").status in (401, 429))
        session.call(rotated["api_key"], "GET", "/balance")
        provoke_outages(exchange, session, buyer["api_key"])
        texts = dict(topics(exchange)) | dict(tables(exchange)) | dict(logs(exchange))
        texts |= dict(pages(exchange, session))
        texts[Place("answers", "all")] = b"\n".join(session.answers)
        passwords = {
            path.name: read_or_create_secret(path)
            for path in password_file(stack.data_dir, "").iterdir()
        }
        passwords |= {
            "kafka": exchange.kafka.admin_password,
            "postgres": read_or_create_secret(stack.data_dir / "postgres" / "password"),
        }
    keys = {one["broker_id"]: one["api_key"] for one in (seller, buyer, gone, greedy)}
    keys |= {"rotated": rotated["api_key"], "admin": ADMIN_KEY, "wrong": WRONG_KEY}
    return Run(Found(texts), keys, passwords)


def test_search_covers_topics_tables_logs_pages_and_answers(run: Run) -> None:
    kinds: dict[str, set[str]] = {}
    for place in run.found.texts:
        kinds.setdefault(place.kind, set()).add(place.name)
    assert {"market.trades.v1", "market.book.v1", BROKERS.name, COMMANDS.name} <= kinds["topic"]
    assert {"brokers", "orders", "trades"} <= kinds["table"]
    own = {f"logs/{name}.log" for name in ("gateway", "matcher", "sink")}
    assert own | {"kafka/server.log", "postgres/server.log"} <= kinds["log"]
    assert {"/readyz", "gateway", "matcher", "sink"} <= kinds["page"]
    seen = run.found.places("CANARY")
    assert {Place("topic", "market.trades.v1"), Place("table", "orders")} <= seen
    for status in (b"400", b"401", b"403", b"404", b"405", b"409", b"413", b"422", b"429", b"503"):
        assert b'"status":' + status in run.found.texts[Place("answers", "all")], status


def test_keys_are_stored_nowhere(run: Run) -> None:
    for whose, key in run.keys.items():
        assert run.found.places(key.removeprefix("ex_")) == set(), whose


def test_passwords_are_stored_nowhere(run: Run) -> None:
    assert {"gateway", "matcher", "sink", "webhooks", "operator", "kafka"} <= set(run.passwords)
    for whose, password in run.passwords.items():
        assert run.found.places(password) == set(), whose


def test_hashes_of_keys_are_only_in_the_brokers_records(run: Run) -> None:
    records = {Place("topic", BROKERS.name), Place("table", "brokers")}
    for whose, key in run.keys.items():
        places = run.found.places(key_hash(key))
        if whose in ("admin", "wrong"):
            assert places == set()
        else:
            assert Place("topic", BROKERS.name) in places
            assert places <= records


def test_documents_are_only_in_topics_and_tables_of_orders(run: Run) -> None:
    of_orders = {Place("topic", one.name) for one in (COMMANDS, EXECUTIONS, SNAPSHOTS)}
    assert run.found.places(DOCUMENT) == of_orders | {Place("table", "orders")}


def test_documents_of_refused_orders_are_stored_nowhere(run: Run) -> None:
    assert run.found.places(BAD_DOCUMENT) == set()
    # The edge accepted this one and the matcher refused it, so it is in the command log.
    assert run.found.places(FAULTY_DOCUMENT) == {Place("topic", COMMANDS.name)}


def test_names_of_unknown_fields_are_only_in_the_answers(run: Run) -> None:
    assert run.found.places(FIELD_NAME) == {Place("answers", "all")}


def test_local_files_with_secrets_are_readable_only_by_their_owner(exchange: Exchange) -> None:
    data_dir = exchange.stack.data_dir
    assert (data_dir / "admin-key").read_text().strip() == exchange.admin_key
    for name in ("admin-key", "endpoints.json"):
        assert (data_dir / name).stat().st_mode & 0o077 == 0
