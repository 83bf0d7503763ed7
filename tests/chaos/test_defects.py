"""Seeded defects: each one, switched on alone, must be found by its checks.

A gateway runs under load in a separate small exchange. Sinks and readers process one recorded
market, which ends with a record of a stale matcher that they must ignore. Webhook senders process
the outbox that a correct sink made from it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from msgspec import UNSET, Struct, structs

from conformance.api import eventually
from infra.ports import free_port
from infra.servers import LocalServers
from loadgen.workload.orderflow import Profile, plan
from schemas.codec import decode_execution, encode
from schemas.executions import LevelClaim, OrderAccepted, Outcome, Outcomes
from schemas.ids import order_id
from schemas.rest import RegisterRequest, Registration
from schemas.topics import BROKERS, EXECUTIONS
from services.audit.run import run_audit
from services.ingest.registration import RANDOM_BYTES, new_broker
from services.local.exchange import LocalExchange
from services.local.local_settings import LOCAL_CIDRS
from services.runtime.clock import now_ms
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.producer import FailFastSender, Sender
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from services.sink.migrate import migrate
from tests.chaos.checker import ClientHistory, Verification, market_of, verify, wait_for_webhooks
from tests.chaos.clients import Clients
from tests.chaos.defects import (
    GATEWAY,
    READER,
    READER_OF_DATABASE,
    SINK,
    WEBHOOKS,
    Defect,
    close_without_flush,
    lose_connection,
    start_at_the_same_position,
)
from tests.chaos.reconciliation import Market
from tests.chaos.views import view_differences
from tests.chaos.webhook_check import WebhookCheck
from tests.chaos.webhook_receivers import WebhookReceivers
from tests.integration.audited_market import create_database, wait_for_expiries
from tests.support.exchange import Exchange
from tests.support.patching import Replacement
from tests.support.service_threads import ServiceThread

SEED = 3
PROFILE = Profile(
    brokers=4,
    symbols=5,
    orders_per_s=150,
    duration_s=60,
    cancel_age_ms_mean=300,
    valid_short_percent=5,
    valid_seconds_percent=0,
)
TRADING_S = 0.7
TRADING_S_MAX = 20.0
# Granted cancels, and trades, of the recorded market.
CANCELS_MIN, TRADES_MIN = 6, 6
# Answered requests of each kind for every gateway with a defect: enough to meet the defect.
ANSWERS_MIN = 10
SINK_WAIT_S = 10.0
SENDER_WAIT_S = 60.0
# Much longer than TRADING_S: every record is still in the producer at the crash.
LINGER_MS = 8_000
# About TRADING_S: the clients of a correct gateway wait for it.
LINGER_WAITED_FOR_MS = 800
NO_DEFECT = Defect((), frozenset())


class Recorded(Struct, frozen=True):
    """A market that has ended: its stack, stored by a correct sink, and the clients' history.

    `outbox`: a copy of that sink's database, which no process changes.
    """

    stack: LocalExchange
    history: ClientHistory
    market: Market
    empty_database_url: str
    outbox: str


def make_stack(
    exchange: Exchange, data_dir: Path, prefix: str = "", linger_ms: int = 1
) -> LocalExchange:
    url = create_database(exchange.database_url, "defects")
    settings = Settings(
        kafka=exchange.bootstrap,
        database_url=url,
        topic_prefix=prefix or f"defects{time.time_ns()}.",
        port=free_port(),
        data_dir=data_dir,
        admin_key="an admin key for tests",
        durability="process",
        snapshot_every=0,
        linger_ms=linger_ms,
        delivery_timeout_ms=3_000 + linger_ms,
    )
    servers = LocalServers(data_dir, kafka=exchange.bootstrap, database_url=url)
    stack = LocalExchange(settings, servers)
    if prefix:
        migrate(url)
    else:
        stack.prepare()
    return stack


def trade(
    stack: LocalExchange,
    brokers: list[Registration],
    profile: Profile = PROFILE,
    *,
    cancels_min: int = 0,
    answers_min: int = 0,
) -> ClientHistory:
    """Trade until so many cancels are granted and so many requests of each kind are answered."""
    clients = Clients(stack.url, brokers, plan(profile, SEED))
    cancel_answers_min = answers_min if profile.cancels_per_53_orders else 0

    def traded() -> bool:
        return (
            clients.answered["order"] >= answers_min
            and clients.answered["cancel"] >= cancel_answers_min
            and len(clients.cancelled) >= cancels_min
        )

    with clients.trading():
        time.sleep(TRADING_S)
        # A cancel is sent after the answer to its order, which takes its time on a busy machine.
        eventually("answers and cancels", traded, TRADING_S_MAX)
    return ClientHistory(clients, brokers, SEED)


def register_brokers(stack: LocalExchange) -> list[Registration]:
    """Register without the gateway, whose linger may delay every record by seconds."""
    registered = []
    sender = FailFastSender(kafka_access(stack.settings), linger_ms=0)
    for number in range(PROFILE.brokers):
        # No webhook sender runs on this database, so the URL is never called.
        url = "http://receiver.invalid/" if number % 2 else None
        request = RegisterRequest(f"Broker {number}", url)
        broker, key = new_broker(request, os.urandom(RANDOM_BYTES), now_ms=1)
        topic = BROKERS.full_name(stack.topic_prefix)
        sender.send(topic, 0, broker.broker_id.encode(), encode(broker))
        secret = broker.webhook_secrets[0].secret if broker.webhook_secrets else UNSET
        registered.append(Registration(broker.broker_id, key, secret))
    sender.flush()
    return registered


def found_in(verification: Verification) -> set[str]:
    found: set[str] = set(verification.failing)
    for check, differences in (
        ("lost", verification.reconciliation.lost),
        ("duplicated", verification.reconciliation.duplicated),
        ("contradiction", verification.contradictions),
        ("views", verification.view_differences),
    ):
        if differences:
            found.add(check)
    return found


def failure_text(verification: Verification) -> str:
    return "\n".join(
        [*verification.audit, *verification.contradictions, *verification.view_differences]
    )


def ignore(_: str) -> None:
    """Drop a line of progress."""


@contextmanager
def running(
    stack: LocalExchange, *names: str, replacements: tuple[Replacement, ...] = ()
) -> Iterator[list[ServiceThread]]:
    with ExitStack() as ending:
        threads = [ServiceThread(name, stack.settings) for name in names]
        threads[-1] = ServiceThread(names[-1], stack.settings, replacements)
        for thread in threads:
            ending.enter_context(thread)
        if names[-1] not in ("sink", "webhooks"):
            threads[-1].wait_ready(stack)
        yield threads


@pytest.fixture(scope="module")
def recorded(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    stack = make_stack(exchange, tmp_path_factory.mktemp("recorded"))
    brokers = register_brokers(stack)
    with running(stack, "sink", "matcher"), running(stack, "gateway"):
        history = trade(stack, brokers, cancels_min=CANCELS_MIN)
        wait_for_expiries(stack.settings)
        verification = verify(stack, history, [stack.url], SINK_WAIT_S, ignore)
        market = market_of(stack)
    assert found_in(verification) == set(), failure_text(verification)
    assert verification.reconciliation.cancelled >= CANCELS_MIN
    assert verification.reconciliation.trades >= TRADES_MIN
    write_stale_record(Exchange(stack))
    empty = create_database(exchange.database_url, "empty")
    migrate(empty)
    name = stack.database_url.rsplit("/", 1)[1]
    outbox = create_database(exchange.database_url, "outbox", name).rsplit("/", 1)[1]
    return Recorded(stack, history, market, empty, outbox)


def write_stale_record(exchange: Exchange) -> None:
    claims = [decode_execution(value) for value in exchange.records(EXECUTIONS)]
    assert isinstance(claims[0], LevelClaim)
    event = OrderAccepted(
        order_id(1, 0, 1), order_id(1, 0, 2), "1", "STALE", "bid", "limit", 1, 1, 1, 10
    )
    next_command = len(exchange.outcomes(0))
    stale = Outcomes(-7, next_command, (Outcome(now_ms(), event),))
    exchange.write(EXECUTIONS, 0, encode(stale))


def check_gateway(exchange: Exchange, tmp_path: Path, defect: Defect, linger_ms: int) -> set[str]:
    """The checks that fail for a gateway that is killed after some trading."""
    stack = make_stack(exchange, tmp_path, linger_ms=linger_ms)
    brokers = register_brokers(stack)
    wrong = (*defect.replacements, (Sender, "close", close_without_flush))
    profile = PROFILE if defect.cancels else structs.replace(PROFILE, cancels_per_53_orders=0)
    with running(stack, "sink", "matcher"):
        with running(stack, "gateway", replacements=wrong):
            history = trade(stack, brokers, profile, answers_min=ANSWERS_MIN)
        return found_in(verify(stack, history, [], SINK_WAIT_S, ignore))


def test_gateway_without_defect_when_killed_passes(exchange: Exchange, tmp_path: Path) -> None:
    assert check_gateway(exchange, tmp_path, NO_DEFECT, LINGER_WAITED_FOR_MS) == set()


@pytest.mark.parametrize("name", GATEWAY)
def test_gateway_with_a_defect_fails(exchange: Exchange, tmp_path: Path, name: str) -> None:
    defect = GATEWAY[name]
    linger_ms = LINGER_MS if "before it is stored" in name else 1
    assert check_gateway(exchange, tmp_path, defect, linger_ms) >= defect.found_by


def check_sink(exchange: Exchange, recorded: Recorded, tmp_path: Path, defect: Defect) -> set[str]:
    """The checks that fail for sinks that store the recorded market in an empty database."""
    stack = make_stack(exchange, tmp_path, recorded.stack.topic_prefix)
    with running(stack, *["sink"] * defect.sinks, replacements=defect.replacements) as sinks:
        report = run_audit(stack.settings, recorded.history.lines(), SINK_WAIT_S, Progress())
    found: set[str] = {each.name for each in report.invariants() if each.differences}
    if any(sink.error for sink in sinks):
        found.add("ended")
    return found


@pytest.mark.parametrize(
    "disturbance",
    [
        Defect((lose_connection(),), frozenset()),
        Defect((start_at_the_same_position(),), frozenset(), sinks=2),
    ],
    ids=["connection lost", "two sinks"],
)
def test_sink_without_defect_when_disturbed_passes(
    exchange: Exchange, recorded: Recorded, tmp_path: Path, disturbance: Defect
) -> None:
    assert check_sink(exchange, recorded, tmp_path, disturbance) == set()


@pytest.mark.parametrize("name", SINK)
def test_sink_with_a_defect_fails(
    exchange: Exchange, recorded: Recorded, tmp_path: Path, name: str
) -> None:
    assert check_sink(exchange, recorded, tmp_path, SINK[name]) >= SINK[name].found_by


def check_reader(recorded: Recorded, database_url: str, defect: Defect) -> list[str]:
    """Differences between a reader's views and the recorded market."""
    settings = structs.replace(recorded.stack.settings, port=free_port(), database_url=database_url)
    stack = LocalExchange(settings, recorded.stack.servers)
    with running(stack, "reader", replacements=defect.replacements):
        history = recorded.history
        return view_differences(stack.url, history.keys(), recorded.market, history.seed)


@pytest.mark.parametrize("from_database", [True, False])
def test_reader_without_defect_passes(recorded: Recorded, from_database: bool) -> None:
    url = recorded.stack.database_url if from_database else recorded.empty_database_url
    assert check_reader(recorded, url, NO_DEFECT) == []


@pytest.mark.parametrize("name", READER)
def test_reader_with_a_defect_fails(recorded: Recorded, name: str) -> None:
    assert check_reader(recorded, recorded.empty_database_url, READER[name])


@pytest.mark.parametrize("name", READER_OF_DATABASE)
def test_reader_of_the_database_with_a_defect_fails(recorded: Recorded, name: str) -> None:
    assert check_reader(recorded, recorded.stack.database_url, READER_OF_DATABASE[name])


def pending(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"
        )
        return int(rows.fetchall()[0][0])


def check_sender(exchange: Exchange, recorded: Recorded, defect: Defect) -> WebhookCheck:
    """Check a sender with receivers that refuse one webhook in four the first time."""
    url = create_database(exchange.database_url, "sent", recorded.outbox)
    with WebhookReceivers(refuse_one_in=4) as webhook_receivers:
        webhook_receivers.set_brokers(recorded.history.brokers)
        with psycopg.connect(url) as connection:
            for number, broker in enumerate(recorded.history.brokers):
                connection.execute(
                    "UPDATE webhook_endpoints SET url = %s WHERE broker_id = %s",
                    [webhook_receivers.url(number, webhook_receivers.port), broker.broker_id],
                )
        settings = structs.replace(
            recorded.stack.settings,
            database_url=url,
            webhook_allow_cidrs=LOCAL_CIDRS,
            webhook_retries="seconds",
        )
        stack = LocalExchange(settings, recorded.stack.servers)
        with running(stack, "webhooks", replacements=defect.replacements):
            eventually("no delivery is pending", lambda: not pending(url), SENDER_WAIT_S)
        return wait_for_webhooks(recorded.market, webhook_receivers, 0)


def test_sender_without_defect_passes(exchange: Exchange, recorded: Recorded) -> None:
    found = check_sender(exchange, recorded, NO_DEFECT)
    assert found.failures == []
    assert found.received > 10


@pytest.mark.parametrize("name", WEBHOOKS)
def test_sender_with_a_defect_fails(exchange: Exchange, recorded: Recorded, name: str) -> None:
    assert check_sender(exchange, recorded, WEBHOOKS[name]).failures
