"""Revocation of API keys by an operator, in running services and in services started later."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conformance.api import Api, eventually
from tests.support.exchange import Exchange
from tests.support.operator import edge_service, environ_of, run_exchange_command, run_service

# Status with a valid key: 400 because the request has no body; the reader returns 200.
REACHED = {"gateway": ("POST", "/orders", 400), "ingest": ("POST", "/orders", 400)}
REACHED["reader"] = ("GET", "/balance", 200)


@pytest.fixture(scope="module")
def services(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Api]]:
    """One service of each kind that checks API keys."""
    logs = tmp_path_factory.mktemp("edges")
    with (
        edge_service(exchange, "services.ingest", logs / "ingest.log") as ingest,
        edge_service(exchange, "services.reader", logs / "reader.log") as reader,
    ):
        yield {"gateway": Api(exchange.url, None), "ingest": ingest, "reader": reader}


def works(services: dict[str, Api], key: str) -> dict[str, bool]:
    """True for each service that accepts the key."""
    found: dict[str, bool] = {}
    for name, service in services.items():
        method, path, reached = REACHED[name]
        answer = Api(service.url, key).call(method, path)
        assert answer.status in (reached, 401), answer
        found[name] = answer.status == reached
    return found


def becomes(services: dict[str, Api], key: str, valid: bool) -> None:
    wanted = dict.fromkeys(services, valid)
    eventually(f"valid: {valid}", lambda: works(services, key) == wanted)


def broker_command(exchange: Exchange, *arguments: str) -> Any:
    done = run_exchange_command(exchange, "broker", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def registered(exchange: Exchange) -> tuple[str, str]:
    body = exchange.admin().call("POST", "/register", {"name": "Keyholder"}).body
    return body["broker_id"], body["api_key"]


def test_revoked_key_ends_in_all_services_and_its_orders_stay_open(
    exchange: Exchange, services: dict[str, Api], tmp_path: Path
) -> None:
    broker_id, key = registered(exchange)
    becomes(services, key, valid=True)
    symbol = exchange.symbol()
    resting = Api(exchange.url, key).place("ask", symbol, 100, 1000).body["order_id"]

    row = broker_command(exchange, "revoke", broker_id)
    assert (row["broker_id"], row["name"]) == (broker_id, "Keyholder")
    assert row["revoked_at"]
    becomes(services, key, valid=False)
    with edge_service(exchange, "services.reader", tmp_path / "later.log") as later:
        assert works({"reader": later}, key) == {"reader": False}

    buyer = exchange.broker("Buyer")
    bought = buyer.place("bid", symbol, 30, 1000, client_order_id="b").body
    assert [trade["counterparty_broker"] for trade in bought["trades"]] == [broker_id]
    listed = {row["broker_id"]: row for row in broker_command(exchange, "list")}
    assert listed[broker_id] == row

    readmitted = broker_command(exchange, "rotate", broker_id)["api_key"]
    becomes(services, readmitted, valid=True)
    assert not any(works(services, key).values())
    assert Api(exchange.url, readmitted).order(resting)["remaining_quantity"] == 70


def test_revocation_holds_against_secret_rotations_at_the_same_time(exchange: Exchange) -> None:
    asked = {"name": "Rotator", "webhook_url": "http://127.0.0.1:9/"}
    registration = exchange.admin().call("POST", "/register", asked).body
    broker_id, key = registration["broker_id"], registration["api_key"]
    api, ended = Api(exchange.url, key), threading.Event()

    def rotate_until_ended() -> int:
        client, done = Api(exchange.url, key), 0
        while not ended.is_set():
            done += client.call("POST", "/webhooks/secret/rotate").status == 200
        return done

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(rotate_until_ended) for _ in range(4)]
        try:
            row = broker_command(exchange, "revoke", broker_id)
            eventually(
                "revoked", lambda: Api(exchange.url, key).call("GET", "/balance").status == 401
            )
            # Whatever the gateway has accepted before is in the topic by now.
            time.sleep(1.0)
        finally:
            ended.set()
        assert sum(loop.result() for loop in loops) > 0
    assert api.call("GET", "/balance").status == 401
    listed = {row["broker_id"]: row for row in broker_command(exchange, "list")}
    assert listed[broker_id] == row


def test_rotated_key_replaces_the_old_one_in_all_services(
    exchange: Exchange, services: dict[str, Api]
) -> None:
    broker_id, key = registered(exchange)
    fresh = broker_command(exchange, "rotate", broker_id)
    assert fresh["broker_id"] == broker_id
    becomes(services, fresh["api_key"], valid=True)
    becomes(services, key, valid=False)


def test_rotated_key_and_the_former_one_are_valid_until_its_end(
    exchange: Exchange, services: dict[str, Api]
) -> None:
    broker_id, first = registered(exchange)
    second = broker_command(exchange, "rotate", broker_id, "--keep-old-for", "3600")["api_key"]
    becomes(services, second, valid=True)
    assert all(works(services, first).values())

    third = broker_command(exchange, "rotate", broker_id, "--keep-old-for", "1")["api_key"]
    becomes(services, third, valid=True)
    becomes(services, first, valid=False)
    becomes(services, second, valid=False)


def test_paused_gateway_refuses_orders_with_a_key_revoked_meanwhile(
    exchange: Exchange,
) -> None:
    broker_id, key = registered(exchange)
    broker, symbol = Api(exchange.url, key), exchange.symbol()
    assert broker.place("bid", symbol, 1, 100).status == 201
    gateway = exchange.stack.services["gateway"]
    with ThreadPoolExecutor() as pool:
        gateway.pause()
        try:
            broker_command(exchange, "revoke", broker_id)
            # Longer than a pause that the gateway must notice.
            time.sleep(1.5)
            answers = [pool.submit(broker.place, "bid", symbol, 1, 100) for _ in range(10)]
            time.sleep(0.2)
        finally:
            gateway.resume()
        statuses = {answer.result().status for answer in answers}
    assert statuses <= {503, 401}, statuses
    eventually("revoked", lambda: broker.place("bid", symbol, 1, 100).status == 401)
    assert exchange.broker().place("bid", symbol, 1, 100).status == 201


@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_key_commands_for_a_missing_broker_fail_with_one_line(
    exchange: Exchange, verb: str
) -> None:
    before = run_exchange_command(exchange, "broker", "list").stdout
    done = run_exchange_command(exchange, "broker", verb, "missing")
    assert done.returncode == 11
    assert done.stdout == ""
    assert done.stderr == "exchange: no broker missing; `exchange broker list` shows them all\n"
    assert run_exchange_command(exchange, "broker", "list").stdout == before


@pytest.mark.parametrize("module", ["services.gateway", "services.ingest"])
def test_service_with_admin_calls_and_without_an_admin_key_does_not_start(
    exchange: Exchange, module: str
) -> None:
    without = environ_of(exchange, EXCHANGE_ADMIN_KEY="", EXCHANGE_PORT="0")
    done = run_service(module, without)
    assert done.returncode == 2
    assert "EXCHANGE_ADMIN_KEY is needed and not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_short_admin_key_is_refused_and_not_shown(exchange: Exchange) -> None:
    done = run_service("services.gateway", environ_of(exchange, EXCHANGE_ADMIN_KEY="hunter2"))
    assert done.returncode == 2
    assert "EXCHANGE_ADMIN_KEY" in done.stderr
    assert "hunter2" not in done.stderr


def test_reader_without_an_admin_key_has_no_admin_calls(exchange: Exchange, tmp_path: Path) -> None:
    with edge_service(
        exchange, "services.reader", tmp_path / "reader.log", EXCHANGE_ADMIN_KEY=""
    ) as reader:
        operations = [
            one
            for path in reader.get("/openapi.json").body["paths"].values()
            for one in path.values()
        ]
        assert {"admin": []} not in [rule for one in operations for rule in one.get("security", [])]
        for key in (exchange.admin_key, "", "None"):
            assert Api(reader.url, key).get("/balance").status == 401
        assert Api(reader.url, exchange.admin_key).call("POST", "/register").status == 404
