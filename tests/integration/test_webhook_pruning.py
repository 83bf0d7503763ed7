"""Pruning deletes old deliveries and no others; the audit detects other missing deliveries."""

import asyncio
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from conformance.api import eventually
from conformance.receiver import a_receiver
from infra.postgres import LocalPostgres
from schemas import ids
from services.audit.report import AuditReport
from services.runtime.clock import now_ms
from services.runtime.postgres.connection import connect
from services.webhooks.maintenance import Pruner
from services.webhooks.maintenance_store import PRUNED_MAX, Key, MaintenanceStore
from services.webhooks.session import SESSION
from tests.integration.audited_market import AuditedMarket, recorded_market, with_changed_rows
from tests.support.exchange import Exchange
from tests.support.outbox import (
    WAIT_S,
    Outbox,
    running_sender,
)

DAY_MS = 86_400_000
KEEP_DAYS = 30


@pytest.fixture
def outbox(postgres: LocalPostgres) -> Iterator[Outbox]:
    made = Outbox(postgres.create_database(f"pruning_{uuid.uuid4().hex[:12]}"))
    yield made
    made.close()


def stored(
    outbox: Outbox, broker: str, status: str, ended_days: float | None, traded_days: float
) -> str:
    """Store a row with its trade and its end that many days ago; return its webhook-id."""
    at_ms = now_ms() - int(traded_days * DAY_MS)
    event_id = ids.trade_id(at_ms, 0, uuid.uuid4().int & 0xFFFF_FFFF, 0)
    outbox.execute(
        "INSERT INTO webhook_deliveries (broker_id, event_id, kind, order_remaining_quantity,"
        " status, attempts, finished_at) VALUES (%s, %s, 'bid', 1, %s, 1,"
        " now() - make_interval(secs => %s))",
        broker,
        event_id,
        status,
        None if ended_days is None else ended_days * 86_400,
    )
    return f"{event_id}-bid"


def many(outbox: Outbox, broker: str, count: int) -> None:
    """Store `count` rows with distinct ids that ended 40 days ago."""
    outbox.execute(
        "INSERT INTO webhook_deliveries (broker_id, event_id, kind, order_remaining_quantity,"
        " status, attempts, finished_at)"
        " SELECT %s, (rpad(lpad(to_hex((extract(epoch FROM now() - interval '40 days') * 1000)"
        "::bigint), 12, '0'), 20, '0') || lpad(to_hex(n), 12, '0'))::uuid, 'ask', 1, 'delivered',"
        " 1,"
        " now() - interval '40 days' FROM generate_series(1, %s) AS n",
        broker,
        count,
    )


def counted(outbox: Outbox) -> dict[str, int]:
    with psycopg.connect(outbox.url) as connection:
        rows = connection.execute("SELECT broker_id::text, sides FROM webhook_pruned")
        return dict(rows.fetchall())


async def pruned(url: str, days: int = KEEP_DAYS, most: int = 1_000_000_000) -> int:
    """Prune until no old row is left, or at most `most`; return the number of deleted rows."""
    opened = await MaintenanceStore.open(url)
    try:
        deleted = 0
        for receiver in await opened.receivers(None):
            after: Key | None = Key()
            while after is not None and deleted < most:
                rows = min(PRUNED_MAX, most - deleted)
                portion = await opened.prune(receiver.broker_id, after, days, rows)
                assert portion.changed <= rows
                deleted += portion.changed
                after = portion.after
        return deleted
    finally:
        await opened.close()


def prune(outbox: Outbox) -> int:
    return asyncio.run(pruned(outbox.url))


def test_rows_with_an_old_trade_and_an_old_end_are_deleted_and_no_others(outbox: Outbox) -> None:
    broker, other = outbox.broker("http://a/"), outbox.broker("http://b/")
    kept = {
        stored(outbox, broker, "delivered", 29.9, 29.9),
        # Delivered late or queued again: the end of the delivery counts.
        stored(outbox, broker, "delivered", 1, 40),
        stored(outbox, other, "parked", 29.9, 33),
        stored(outbox, other, "pending", None, 40),
        # A clock that was set back must not make a recent trade count as old.
        stored(outbox, other, "delivered", 40, 1),
    }
    stored(outbox, broker, "delivered", 30.1, 30.2)
    stored(outbox, broker, "parked", 31, 35)
    stored(outbox, other, "delivered", 300, 300)
    assert prune(outbox) == 3
    assert {row.webhook_id for row in outbox.rows()} == kept
    assert counted(outbox) == {broker: 2, other: 1}
    assert prune(outbox) == 0
    assert counted(outbox) == {broker: 2, other: 1}


def test_test_webhooks_are_deleted_and_not_counted(outbox: Outbox) -> None:
    broker = outbox.broker("http://a/")
    stored(outbox, broker, "delivered", 40, 40)
    outbox.execute("UPDATE webhook_deliveries SET kind = 'test', order_remaining_quantity = NULL")
    assert prune(outbox) == 1
    assert counted(outbox) == {broker: 0}


def test_concurrent_prunings_count_each_row_once(outbox: Outbox) -> None:
    async def two() -> list[int]:
        return list(await asyncio.gather(pruned(outbox.url), pruned(outbox.url)))

    brokers = [outbox.broker("http://a/") for _ in range(2)]
    for broker in brokers:
        many(outbox, broker, PRUNED_MAX + 10)
    assert sum(asyncio.run(two())) == 2 * (PRUNED_MAX + 10)
    assert counted(outbox) == dict.fromkeys(brokers, PRUNED_MAX + 10)
    assert outbox.rows() == []


def test_pruning_is_not_blocked_by_claims(outbox: Outbox) -> None:
    broker = outbox.broker("http://a/")
    many(outbox, broker, 5_000)
    with connect(outbox.url, SESSION) as sender, sender.transaction():
        # Locks as a claim and the recording of an attempt's result take them.
        sender.execute("SELECT FROM webhook_endpoints FOR UPDATE")
        assert asyncio.run(pruned(outbox.url, most=100)) == 100


def test_sender_prunes_old_rows_while_it_sends(outbox: Outbox) -> None:
    with a_receiver() as receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        many(outbox, broker, PRUNED_MAX + 10)
        with running_sender(outbox.url, {"EXCHANGE_WEBHOOK_KEEP_DAYS": "30"}):
            outbox.trade(broker, counterparty, 5)
            eventually("old deliveries are deleted", lambda: len(outbox.rows()) == 5, WAIT_S)
            eventually("new deliveries are sent", lambda: outbox.all_are("delivered"), WAIT_S)
        assert len(receiver.received) == 5
    assert counted(outbox) == {broker: PRUNED_MAX + 10}


def test_sender_with_unlimited_retention_deletes_nothing(
    outbox: Outbox,
) -> None:
    many(outbox, outbox.broker("http://a/"), 10)
    asyncio.run(asyncio.wait_for(Pruner(outbox.url, 0).run(), 30))
    assert len(outbox.rows()) == 10


@pytest.fixture(scope="module")
def market(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedMarket]:
    with recorded_market(exchange, tmp_path_factory.mktemp("pruned")) as recorded:
        yield recorded


def audited(market: AuditedMarket, exchange: Exchange, rows: int, then: str = "") -> AuditReport:
    """Audit after pruning `rows` rows with the senders' SQL and then executing `then`."""
    delivered = "UPDATE webhook_deliveries SET status = 'delivered', finished_at = now()"
    changed = with_changed_rows(market, exchange.database_url, delivered)
    assert asyncio.run(pruned(changed.settings.database_url, 0, rows)) > 10
    if then:
        with psycopg.connect(changed.settings.database_url) as connection:
            assert connection.execute(then.encode()).rowcount == 1
    return changed.audit()


@pytest.mark.parametrize("rows", [20, 1_000_000])
def test_audit_of_a_pruned_outbox_passes_with_a_note(
    market: AuditedMarket, exchange: Exchange, rows: int
) -> None:
    report = audited(market, exchange, rows)
    assert report.holds, "\n".join(report.lines())
    assert "were deleted and counted" in report["stored_webhooks"].note


@pytest.mark.parametrize(
    "statement",
    [
        # Deletes one more row than the count includes; it is as old as the counted ones.
        "DELETE FROM webhook_deliveries WHERE (broker_id, event_id, kind) ="
        " (SELECT broker_id, event_id, kind FROM webhook_deliveries LIMIT 1)",
        "UPDATE webhook_pruned SET sides = sides - 1"
        " WHERE broker_id = (SELECT broker_id FROM webhook_pruned LIMIT 1)",
        # Claims that only older rows were deleted than in fact were.
        "UPDATE webhook_pruned SET before = '00000000-0000-0000-0000-000000000001'"
        " WHERE broker_id = (SELECT broker_id FROM webhook_pruned LIMIT 1)",
        "DELETE FROM webhook_pruned"
        " WHERE broker_id = (SELECT broker_id FROM webhook_pruned LIMIT 1)",
    ],
)
def test_audit_reports_a_missing_row_that_was_not_pruned(
    market: AuditedMarket, exchange: Exchange, statement: str
) -> None:
    report = audited(market, exchange, 20, statement)
    assert {found.name for found in report.invariants() if found.differences} == {
        "stored_webhooks"
    }, "\n".join(report.lines())
