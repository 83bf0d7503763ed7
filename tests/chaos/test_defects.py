"""A checker that finds nothing proves nothing: each mistake, alone, must be found by its checks.

Gateways work under clients, each in a small exchange of its own. Sinks and readers work off one
recorded log; it ends with a record of a stale matcher, which nobody may believe. Senders work off
the outbox that a right sink made of it.
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
from schemas.executions import Claim, OrderAccepted, Outcome, Outcomes
from schemas.ids import order_id
from schemas.rest import RegisterRequest, Registration
from schemas.topics import BROKERS, EXECUTIONS
from services.audit.run import run_audit
from services.ingest.registration import RANDOM_BYTES, new_broker
from services.local.exchange import LOCAL_CIDRS, LocalExchange
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.producer import FailFastSender, Sender
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from services.sink.migrate import migrate
from tests.chaos.checker import Heard, Verdict, after_all_came, judge, market_of
from tests.chaos.clients import Clients
from tests.chaos.defects import (
    GATEWAY,
    READER,
    READER_OF_DATABASE,
    SINK,
    WEBHOOKS,
    Defect,
    both_at_the_same_place,
    die,
    lose_the_connection,
)
from tests.chaos.notices import Notices
from tests.chaos.reconciliation import Market
from tests.chaos.views import not_shown
from tests.chaos.webhook_receivers import WebhookReceivers
from tests.integration.audited_market import create_database
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
# Longer than any order is valid, and then the tick.
EXPIRIES_OVER_S = 1.5
SINK_WAIT_S = 10.0
SENDER_WAIT_S = 60.0
# Much longer than the market: whatever is sent waits in the producer when the crash comes.
LINGER_MS = 8_000
# As long as the market: a right gateway's clients wait for it.
LINGER_WAITED_FOR_MS = 800
NO_DEFECT = Defect((), frozenset())


class Recorded(Struct, frozen=True):
    """A market that is over: its stack, stored by a sink that is right, and what clients heard.

    `outbox`: a database as that sink left it, which nobody works on.
    """

    stack: LocalExchange
    heard: Heard
    market: Market
    empty_database_url: str
    outbox: str


def a_stack(
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


def trade(stack: LocalExchange, brokers: list[Registration], profile: Profile = PROFILE) -> Heard:
    clients = Clients(stack.url, brokers, plan(profile, SEED))
    with clients.trading():
        time.sleep(TRADING_S)
    return Heard(clients, brokers, SEED)


def some_brokers(stack: LocalExchange) -> list[Registration]:
    """Registered past the gateway, which may be one that waits for every record."""
    registered = []
    sender = FailFastSender(kafka_access(stack.settings), linger_ms=0)
    for number in range(PROFILE.brokers):
        # Nobody sends in these tests: what is queued stays queued.
        url = "http://receiver.invalid/" if number % 2 else None
        request = RegisterRequest(f"Broker {number}", url)
        broker, key = new_broker(request, os.urandom(RANDOM_BYTES), now_ms=1)
        topic = stack.topic_prefix + BROKERS.name
        sender.send(topic, 0, broker.broker_id.encode(), encode(broker))
        secret = broker.webhook_secrets[0].secret if broker.webhook_secrets else UNSET
        registered.append(Registration(broker.broker_id, key, secret))
    sender.flush()
    return registered


def found_in(verdict: Verdict) -> set[str]:
    found: set[str] = set(verdict.failing)
    for check, differences in (
        ("lost", verdict.reconciliation.lost),
        ("doubled", verdict.reconciliation.doubled),
        ("contradiction", verdict.contradictions),
        ("views", verdict.not_shown),
    ):
        if differences:
            found.add(check)
    return found


def told(verdict: Verdict) -> str:
    return "\n".join([*verdict.audit, *verdict.contradictions, *verdict.not_shown])


def quiet(_: str) -> None:
    """Nobody listens."""


@contextmanager
def working(
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
    stack = a_stack(exchange, tmp_path_factory.mktemp("recorded"))
    brokers = some_brokers(stack)
    with working(stack, "sink", "matcher"), working(stack, "gateway"):
        heard = trade(stack, brokers)
        time.sleep(EXPIRIES_OVER_S)
        verdict = judge(stack, heard, [stack.url], SINK_WAIT_S, quiet)
        market = market_of(stack)
    assert found_in(verdict) == set(), told(verdict)
    assert min(verdict.reconciliation.trades, verdict.reconciliation.cancelled) > 5, (
        "the market was hardly open"
    )
    write_stale_record(Exchange(stack))
    empty = create_database(exchange.database_url, "empty")
    migrate(empty)
    name = stack.database_url.rsplit("/", 1)[1]
    outbox = create_database(exchange.database_url, "outbox", name).rsplit("/", 1)[1]
    return Recorded(stack, heard, market, empty, outbox)


def write_stale_record(exchange: Exchange) -> None:
    claims = [decode_execution(value) for value in exchange.records(EXECUTIONS)]
    assert isinstance(claims[0], Claim)
    event = OrderAccepted(
        order_id(1, 0, 1), order_id(1, 0, 2), "1", "STALE", "bid", "limit", 1, 1, 1, 10
    )
    next_command = len(exchange.outcomes(0))
    stale = Outcomes(-7, next_command, (Outcome(time.time_ns() // 1_000_000, event),))
    exchange.write(EXECUTIONS, 0, encode(stale))


def a_gateway(exchange: Exchange, tmp_path: Path, defect: Defect, linger_ms: int) -> set[str]:
    stack = a_stack(exchange, tmp_path, linger_ms=linger_ms)
    brokers = some_brokers(stack)
    wrong = (*defect.replacements, (Sender, "close", die))
    profile = PROFILE if defect.cancels else structs.replace(PROFILE, cancels_per_53_orders=0)
    with working(stack, "sink", "matcher"):
        with working(stack, "gateway", replacements=wrong):
            heard = trade(stack, brokers, profile)
        return found_in(judge(stack, heard, [], SINK_WAIT_S, quiet))


def test_gateway_that_is_right_and_killed_is_found_right(
    exchange: Exchange, tmp_path: Path
) -> None:
    assert a_gateway(exchange, tmp_path, NO_DEFECT, LINGER_WAITED_FOR_MS) == set()


@pytest.mark.parametrize("name", GATEWAY)
def test_gateway_with_a_defect_is_found_out(exchange: Exchange, tmp_path: Path, name: str) -> None:
    defect = GATEWAY[name]
    linger_ms = LINGER_MS if "before the log" in name else 1
    assert a_gateway(exchange, tmp_path, defect, linger_ms) >= defect.found_by


def stored(exchange: Exchange, recorded: Recorded, tmp_path: Path, defect: Defect) -> set[str]:
    """What a sink makes of the recorded log in an empty database."""
    stack = a_stack(exchange, tmp_path, recorded.stack.topic_prefix)
    with working(stack, *["sink"] * defect.sinks, replacements=defect.replacements) as sinks:
        report = run_audit(stack.settings, recorded.heard.lines(), SINK_WAIT_S, Progress())
    found: set[str] = {each.name for each in report.invariants() if each.differences}
    if any(sink.error for sink in sinks):
        found.add("ended")
    return found


@pytest.mark.parametrize(
    "trouble",
    [
        Defect((lose_the_connection(),), frozenset()),
        Defect((both_at_the_same_place(),), frozenset(), sinks=2),
    ],
    ids=["connection lost", "two sinks"],
)
def test_sink_that_is_right_is_found_right(
    exchange: Exchange, recorded: Recorded, tmp_path: Path, trouble: Defect
) -> None:
    assert stored(exchange, recorded, tmp_path, trouble) == set()


@pytest.mark.parametrize("name", SINK)
def test_sink_with_a_defect_is_found_out(
    exchange: Exchange, recorded: Recorded, tmp_path: Path, name: str
) -> None:
    assert stored(exchange, recorded, tmp_path, SINK[name]) >= SINK[name].found_by


def shown(recorded: Recorded, database_url: str, defect: Defect) -> list[str]:
    """How a reader's views differ from the log."""
    settings = structs.replace(recorded.stack.settings, port=free_port(), database_url=database_url)
    stack = LocalExchange(settings, recorded.stack.servers)
    with working(stack, "reader", replacements=defect.replacements):
        heard = recorded.heard
        return not_shown(stack.url, heard.keys(), recorded.market, heard.seed)


@pytest.mark.parametrize("from_database", [True, False])
def test_reader_that_is_right_is_found_right(recorded: Recorded, from_database: bool) -> None:
    url = recorded.stack.database_url if from_database else recorded.empty_database_url
    assert shown(recorded, url, NO_DEFECT) == []


@pytest.mark.parametrize("name", READER)
def test_reader_with_a_defect_is_found_out(recorded: Recorded, name: str) -> None:
    assert shown(recorded, recorded.empty_database_url, READER[name])


@pytest.mark.parametrize("name", READER_OF_DATABASE)
def test_reader_of_the_database_with_a_defect_is_found_out(recorded: Recorded, name: str) -> None:
    assert shown(recorded, recorded.stack.database_url, READER_OF_DATABASE[name])


def pending(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"
        )
        return int(rows.fetchall()[0][0])


def told_by_a_sender(exchange: Exchange, recorded: Recorded, defect: Defect) -> Notices:
    """What receivers were told that refuse one webhook in four the first time."""
    url = create_database(exchange.database_url, "told", recorded.outbox)
    with WebhookReceivers(refuse_one_in=4) as webhook_receivers:
        webhook_receivers.know(recorded.heard.brokers)
        with psycopg.connect(url) as connection:
            for number, broker in enumerate(recorded.heard.brokers):
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
        with working(stack, "webhooks", replacements=defect.replacements):
            eventually("nothing is left to send", lambda: not pending(url), SENDER_WAIT_S)
        return after_all_came(recorded.market, webhook_receivers, 0)


def test_sender_that_is_right_is_found_right(exchange: Exchange, recorded: Recorded) -> None:
    found = told_by_a_sender(exchange, recorded, NO_DEFECT)
    assert found.wrong == []
    assert found.told > 10


@pytest.mark.parametrize("name", WEBHOOKS)
def test_sender_with_a_defect_is_found_out(
    exchange: Exchange, recorded: Recorded, name: str
) -> None:
    assert told_by_a_sender(exchange, recorded, WEBHOOKS[name]).wrong
