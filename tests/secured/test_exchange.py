"""The whole exchange with access control: a user for every service on Kafka and PostgreSQL.

It trades, its audit holds, it survives restarts of its servers, and a service with a wrong password
exits with one line that says so.
"""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError
from msgspec import structs
from psycopg.conninfo import make_conninfo

from conformance.api import Api, eventually
from conformance.receiver import a_receiver
from infra.secrets import read_or_create_secret
from schemas.codec import decode_trade
from schemas.topics import COMMANDS, TRADES
from services.access.credentials import password_file
from services.local.banner import banner
from services.local.child_environment import environment
from services.local.exchange import MODULES, LocalExchange, running_exchange
from services.runtime.kafka.client_config import kafka_access
from services.runtime.settings import Settings
from tests.support.exchange import Exchange
from tests.support.operator import edge_service, run_exchange_command, run_service


def trade(exchange: Exchange, symbol: str) -> None:
    seller, buyer = exchange.broker("Seller"), exchange.broker("Buyer")
    resting = seller.place("ask", symbol, 10, 1000)
    assert resting.status == 201, resting
    taken = buyer.place("bid", symbol, 4, 1000)
    assert (taken.status, taken.body["closed_reason"]) == (201, "filled")
    assert seller.cancel(resting.body["order_id"]).status == 204
    assert buyer.get(f"/stocks/{symbol}/price").body["last_price"] == 1000


def audit(exchange: Exchange) -> None:
    done = run_exchange_command(exchange, "audit", "--wait", "30")
    assert done.returncode == 0, done.stdout + done.stderr


def test_secured_exchange_trades_delivers_webhooks_and_its_audit_holds(secured: Exchange) -> None:
    with a_receiver() as receiver:
        symbol = secured.symbol()
        broker = Api(secured.url, secured.register("With a webhook", webhook_url=receiver.url))
        broker.place("ask", symbol, 5, 100)
        secured.broker().place("bid", symbol, 5, 100)
        delivered = "/webhooks/deliveries?status=delivered"
        eventually("delivered", lambda: bool(broker.get(delivered).body["deliveries"]))
    assert broker.call("POST", "/webhooks/test").status == 201
    trade(secured, secured.symbol())
    audit(secured)


def test_operator_of_a_secured_exchange_can_use_every_command(secured: Exchange) -> None:
    trade(secured, secured.symbol())
    for words in (
        ("topics", "apply"),
        ("topics", "show"),
        ("listings", "show"),
        ("broker", "register", "By hand"),
        ("broker", "list"),
        ("replay", "--partition", "0", "--verify", "--from-snapshot"),
        ("access", "show"),
    ):
        done = run_exchange_command(secured, *words)
        assert done.returncode == 0, (words, done.stderr)


def test_commands_find_a_secured_exchange_by_its_data_directory(secured: Exchange) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("EXCHANGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "topics", "show", "--json"],
        env=environ | {"EXCHANGE_DATA_DIR": str(secured.stack.data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert COMMANDS.name in {row["name"] for row in json.loads(done.stdout)}


def test_analyst_with_another_group_reads_trades_and_is_refused_commands(
    secured: Exchange,
) -> None:
    symbol = secured.symbol()
    trade(secured, symbol)
    analyst = kafka_access(secured.stack.settings_of("analyst"))
    consumer = Consumer(
        analyst.config() | {"group.id": "my-research", "auto.offset.reset": "earliest"}
    )
    with closing(consumer):
        consumer.subscribe([TRADES.name])
        seen: list[str] = []

        def found() -> bool:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                seen.append(decode_trade(message.value()).symbol)
            return symbol in seen

        eventually("the trade", found)
        consumer.commit(asynchronous=False)
        consumer.subscribe([COMMANDS.name])
        message = consumer.poll(20.0)
    assert message is not None
    error = message.error()
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_analyst_reads_prices_in_postgres_and_is_refused_brokers(secured: Exchange) -> None:
    symbol = secured.symbol()
    trade(secured, symbol)
    url = secured.stack.settings_of("analyst").database_url
    with closing(psycopg.connect(url, autocommit=True)) as connection:

        def stored() -> bool:
            query = "SELECT price, quantity FROM trades WHERE symbol = %s"
            return connection.execute(query, [symbol]).fetchall() == [(1000, 4)]

        eventually("stored", stored)
        for forbidden in ("buy_broker_id FROM trades", "* FROM brokers", "* FROM orders"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {forbidden} LIMIT 0".encode())


def test_every_service_has_its_own_user_on_postgres(secured: Exchange) -> None:
    with closing(psycopg.connect(secured.database_url, autocommit=True)) as connection:

        def users() -> set[str]:
            rows = connection.execute(
                "SELECT DISTINCT usename FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return {row[0] for row in rows}

        eventually("all are connected", lambda: users() >= {"gateway", "sink", "webhooks"})
        assert users() <= {"gateway", "sink", "webhooks", "reader", "operator", "analyst"}


def test_ingest_and_reader_as_separate_services_answer_with_their_own_rights(
    secured: Exchange, tmp_path: Path
) -> None:
    def run_as(role: str) -> dict[str, str]:
        given = environment({}, secured.stack.settings_of(role), {})
        named = ("KAFKA_USER", "KAFKA_PASSWORD_FILE", "DATABASE_URL")
        return {f"EXCHANGE_{name}": given.get(f"EXCHANGE_{name}", "") for name in named}

    broker = secured.broker()
    with (
        edge_service(secured, "services.reader", tmp_path / "reader.log", **run_as("reader")) as r,
        edge_service(secured, "services.ingest", tmp_path / "ingest.log", **run_as("ingest")) as i,
    ):
        symbol = secured.symbol()
        placed = Api(i.url, broker.key).place("bid", symbol, 3, 100)
        assert placed.status == 201, placed
        reader = Api(r.url, broker.key)
        eventually("order", lambda: reader.get(placed.headers["location"]).status == 200)


def test_servers_killed_and_restarted_accept_every_service_again(secured: Exchange) -> None:
    pids = {name: child.pid for name, child in secured.stack.services.items()}
    for server in (secured.kafka, secured.postgres):
        server.kill()
        server.start()
    broker = secured.broker()
    symbol = secured.symbol()
    eventually("orders resume", lambda: broker.place("bid", symbol, 1, 1).status == 201, 60.0)
    trade(secured, secured.symbol())
    audit(secured)
    assert {name: child.pid for name, child in secured.stack.services.items()} == pids


WRONG = "guessed-password"
WRONG_ON_KAFKA = ("gateway", "ingest", "reader", "matcher", "sink")
WRONG_ON_POSTGRES = ("sink", "webhooks")
WITHOUT_POSTGRES = ("gateway", "reader")


@pytest.mark.parametrize("service", WRONG_ON_KAFKA)
def test_service_with_a_wrong_kafka_password_exits_with_one_line(
    secured: Exchange, service: str
) -> None:
    settings = structs.replace(secured.stack.settings_of(service), kafka_password=WRONG, port=0)
    assert_refused(service, settings, f"Kafka does not let user {service} in")


@pytest.mark.parametrize("service", WRONG_ON_POSTGRES)
def test_service_with_a_wrong_postgres_password_exits_with_one_line(
    secured: Exchange, service: str
) -> None:
    settings = secured.stack.settings_of(service)
    url = make_conninfo(settings.database_url, password=WRONG)
    wrong = structs.replace(settings, database_url=url, port=0)
    assert_refused(service, wrong, "PostgreSQL does not let us in")


@pytest.mark.parametrize("service", WITHOUT_POSTGRES)
def test_service_with_a_wrong_postgres_password_starts_from_the_log(
    secured: Exchange, service: str, tmp_path: Path
) -> None:
    symbol, key, log_file = secured.symbol(), secured.register("Reader"), tmp_path / "log"
    assert Api(secured.url, key).place("bid", symbol, 5, 100).status == 201
    url = make_conninfo(secured.stack.settings_of(service).database_url, password=WRONG)
    with edge_service(secured, f"services.{service}", log_file, EXCHANGE_DATABASE_URL=url) as api:
        answer = api.call(
            "GET", f"/stocks/{symbol}/book", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.body["bids"][0]["price"] == 100
    written = log_file.read_text()
    assert "password authentication failed" in written
    assert WRONG not in written


@pytest.mark.parametrize(
    ("service", "role", "message"),
    [
        ("matcher", "sink", "Kafka forbids user sink"),
        ("gateway", "reader", "Kafka forbids user reader"),
        ("sink", "reader", "PostgreSQL forbids"),
        ("webhooks", "reader", "PostgreSQL forbids"),
    ],
)
def test_service_with_the_rights_of_another_exits_with_one_line(
    secured: Exchange, service: str, role: str, message: str
) -> None:
    settings = structs.replace(secured.stack.settings_of(role), port=0, admin_key=secured.admin_key)
    assert_refused(service, settings, message)


def assert_refused(service: str, settings: Settings, message: str) -> None:
    done = run_service(f"services.{service}", environment(os.environ, settings, {}))
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"{service}: {message}")
    assert done.returncode == 12
    assert WRONG not in done.stderr


@pytest.mark.timeout(300)
def test_data_of_an_open_exchange_is_kept_when_secured_and_passwords_stay(
    tmp_path: Path,
) -> None:
    with running_exchange(tmp_path) as stack:
        exchange = Exchange(stack)
        key = exchange.register("Faithful")
        Api(stack.url, key).place("ask", "KEPT", 7, 100)
    passwords: dict[str, str] = {}
    for _ in range(2):
        with running_exchange(tmp_path, Settings(port=0, access="secured")) as stack:
            book = Api(stack.url, key).get("/stocks/KEPT/book").body
            assert book["asks"][0]["total_quantity"] == 7
            folder = password_file(tmp_path, "")
            found = {path.name: read_or_create_secret(path) for path in folder.iterdir()}
            assert set(MODULES) <= set(found)
            assert passwords in ({}, found)
            passwords = found
            assert folder.stat().st_mode & 0o077 == 0
            assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
            assert not any(password in stack_banner(stack) for password in found.values())
    assert len(set(passwords.values())) == len(passwords)


def stack_banner(stack: LocalExchange) -> str:
    text = banner(stack.facts())
    assert str(password_file(stack.data_dir, "")) in text
    return text
