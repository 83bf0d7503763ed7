"""Parking and counting of webhooks in portions, apart from the sending of others."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest

from conformance.api import eventually
from conformance.receiver import Reply, a_receiver
from infra.postgres import LocalPostgres
from schemas.operations import WebhooksState
from services.runtime.metrics import WEBHOOK_RECEIVERS_DUE, WEBHOOKS_PENDING
from services.runtime.postgres.pool import PostgresPool
from services.webhooks.deliveries import Deliveries
from services.webhooks.loop import RETRY_S
from services.webhooks.maintenance import Sweeper
from services.webhooks.maintenance_store import (
    COUNTED_MAX,
    GONE,
    PARKED_MAX,
    Key,
    MaintenanceStore,
)
from services.webhooks.store import WebhookStore
from tests.support.outbox import (
    WAIT_S,
    Outbox,
    running_sender,
)

SPAN_S = 3600.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    running = LocalPostgres(tmp_path_factory.mktemp("postgres"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def outbox(server: LocalPostgres) -> Iterator[Outbox]:
    made = Outbox(server.create_database(f"maintenance_{uuid.uuid4().hex[:12]}"))
    yield made
    made.close()


def queue(outbox: Outbox, broker: str, count: int, age_s: float = 0.0) -> None:
    """Queue test webhooks of so many seconds ago."""
    outbox.execute(
        "INSERT INTO webhook_deliveries (broker_id, event_id, kind, queued_at)"
        " SELECT %s, (rpad(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint"
        " - %s::bigint * 1000), 12, '0'), 20, '0') || lpad(to_hex(n), 12, '0'))::uuid, 'test',"
        " now() - make_interval(secs => %s) FROM generate_series(1, %s) AS n",
        broker,
        age_s,
        age_s,
        count,
    )


def swept(outbox: Outbox, pending_max: int = 0) -> None:
    """One round of the sweeper."""

    async def one() -> None:
        store = await MaintenanceStore.open(outbox.url)
        try:
            await Sweeper(outbox.url, SPAN_S, pending_max)._round(store)
        finally:
            await store.close()

    asyncio.run(one())


def counts(outbox: Outbox) -> WebhooksState:
    """The figures of all brokers that the operations view has."""

    async def asked() -> WebhooksState:
        pool = PostgresPool(outbox.url, read_only=False)
        await pool.open()
        try:
            return await Deliveries(pool).counts()
        finally:
            await pool.close()

    return asyncio.run(asked())


def count(outbox: Outbox, broker: str) -> dict[tuple[str, str | None], int]:
    """Rows of a broker by status and reason."""
    with psycopg.connect(outbox.url) as connection:
        rows = connection.execute(
            "SELECT status, last_error, count(*) FROM webhook_deliveries WHERE broker_id = %s"
            " GROUP BY 1, 2",
            [broker],
        )
        return {(status, error): number for status, error, number in rows}


def test_queue_that_cannot_be_parked_delays_no_other_receiver(outbox: Outbox) -> None:
    with a_receiver(lambda _: Reply(410)) as gone, a_receiver() as good:
        broker, other = outbox.broker(gone.url), outbox.broker(good.url)
        counterparty = outbox.broker(None)
        queue(outbox, broker, 3 * PARKED_MAX)
        with psycopg.connect(outbox.url) as locker:
            # Every webhook but the first one; it is sent, and answered 410.
            locker.execute(
                "SELECT FROM webhook_deliveries WHERE event_id <> (SELECT event_id"
                " FROM webhook_deliveries ORDER BY event_id LIMIT 1) FOR UPDATE"
            )
            with running_sender(outbox.url):
                eventually("the receiver is gone", lambda: len(gone.received) == 1, WAIT_S)
                begun = time.monotonic()
                outbox.trade(other, counterparty)
                eventually("the other is sent", lambda: len(good.received) == 1, WAIT_S)
                assert time.monotonic() - begun < 5
        with running_sender(outbox.url):
            eventually("all are parked", lambda: outbox.all_are("parked", broker), WAIT_S)


def test_counts_of_all_brokers_have_the_age_of_the_oldest_pending_webhook(outbox: Outbox) -> None:
    assert counts(outbox) == WebhooksState(0, None, 0, 0)
    for broker, number, age_s in ((str(uuid.uuid4()), 3, 7200.0), (str(uuid.uuid4()), 2, 60.0)):
        queue(outbox, broker, number, age_s)
    outbox.execute(
        "UPDATE webhook_deliveries SET status = 'parked', finished_at = now()"
        " WHERE event_id = (SELECT min(event_id::text)::uuid FROM webhook_deliveries)"
    )
    outbox.execute(
        "UPDATE webhook_deliveries SET attempts = 1 WHERE event_id <> "
        " (SELECT max(event_id::text)::uuid FROM webhook_deliveries)"
    )
    found = counts(outbox)
    assert (found.pending, found.retried, found.parked) == (4, 3, 1)
    assert found.oldest_pending is not None
    age = datetime.now(UTC) - datetime.fromisoformat(found.oldest_pending)
    assert 7200 <= age.total_seconds() < 7260


def test_receiver_that_is_gone_has_all_its_webhooks_parked(outbox: Outbox) -> None:
    broker, other = outbox.broker("http://a/"), outbox.broker("http://b/")
    queue(outbox, broker, 2 * PARKED_MAX + 1)
    queue(outbox, other, 7)
    outbox.execute("UPDATE webhook_endpoints SET disabled_at = now() WHERE broker_id = %s", broker)
    swept(outbox)
    assert count(outbox, broker) == {
        ("parked", "the receiver said that it is gone"): 2 * PARKED_MAX + 1
    }
    assert count(outbox, other) == {("pending", None): 7}
    assert WEBHOOKS_PENDING._value.get() == 7
    assert WEBHOOK_RECEIVERS_DUE._value.get() == 1


def test_failing_receiver_has_only_its_old_webhooks_parked(outbox: Outbox) -> None:
    broker, sound = outbox.broker("http://a/"), outbox.broker("http://b/")
    for each in (broker, sound):
        queue(outbox, each, PARKED_MAX + 5, age_s=2 * SPAN_S)
        queue(outbox, each, 3, age_s=SPAN_S / 2)
    outbox.execute("UPDATE webhook_endpoints SET failures = 1 WHERE broker_id = %s", broker)
    # Queued again on request: an old trade with a recent position in the queue.
    outbox.execute(
        "UPDATE webhook_deliveries SET queued_at = now() WHERE ctid IN"
        " (SELECT ctid FROM webhook_deliveries WHERE broker_id = %s ORDER BY event_id LIMIT 4)",
        broker,
    )
    swept(outbox)
    assert count(outbox, broker) == {
        ("parked", "the receiver failed for too long"): PARKED_MAX + 1,
        ("pending", None): 7,
    }
    assert count(outbox, sound) == {("pending", None): PARKED_MAX + 8}


def test_pending_webhooks_of_a_broker_are_bounded(outbox: Outbox) -> None:
    broker = outbox.broker("http://a/")
    queue(outbox, broker, PARKED_MAX + 20, age_s=60)
    queue(outbox, broker, 30, age_s=10)
    swept(outbox, pending_max=50)
    assert count(outbox, broker) == {
        ("parked", "too many webhooks wait for the receiver"): PARKED_MAX,
        ("pending", None): 50,
    }
    newest = [row.status for row in outbox.rows(broker)][-50:]
    assert newest == ["pending"] * 50
    assert WEBHOOKS_PENDING._value.get() == 50


def test_long_queue_is_counted_in_portions(outbox: Outbox) -> None:
    broker = outbox.broker("http://a/")
    queue(outbox, broker, 2 * COUNTED_MAX + 3)
    queue(outbox, outbox.broker("http://b/"), 4)
    swept(outbox)
    assert WEBHOOKS_PENDING._value.get() == 2 * COUNTED_MAX + 7
    assert counts(outbox).pending == COUNTED_MAX


def quarantined(outbox: Outbox) -> list[tuple[str, str, str]]:
    with psycopg.connect(outbox.url) as connection:
        return connection.execute(
            "SELECT source, item, reason FROM quarantine ORDER BY noticed_at DESC, item"
        ).fetchall()


def test_webhook_that_cannot_be_built_is_parked_and_the_rest_is_sent(outbox: Outbox) -> None:
    with a_receiver() as receiver, a_receiver() as other_receiver:
        broker, other = outbox.broker(receiver.url), outbox.broker(other_receiver.url)
        lost, *kept = outbox.trade(broker, other, 3)
        outbox.execute("DELETE FROM trades WHERE id = %s", lost)
        with running_sender(outbox.url):
            eventually("the others are sent", lambda: len(other_receiver.received) == 2, WAIT_S)
            eventually("none is left", lambda: "pending" not in outbox.statuses(), WAIT_S)
            # Queued again on request of its broker.
            outbox.execute(
                "UPDATE webhook_deliveries SET status = 'pending', finished_at = NULL,"
                " last_error = NULL, next_attempt_at = now() WHERE event_id = %s",
                lost,
            )
            outbox.execute("NOTIFY exchange_webhooks")
            eventually("it is parked again", lambda: "pending" not in outbox.statuses(), WAIT_S)
        assert receiver.ids() == [f"{trade_id}-bid" for trade_id in kept]
    assert count(outbox, broker) == {
        ("parked", "not sent: its trade is missing"): 1,
        ("delivered", None): 2,
    }
    assert quarantined(outbox) == [
        ("webhook_deliveries", item, "not sent: its trade is missing")
        for item in sorted((f"{broker} {lost}-bid", f"{other} {lost}-ask"))
    ]


def test_receiver_with_unreadable_secrets_delays_no_other(outbox: Outbox) -> None:
    with a_receiver() as receiver:
        broken, good = outbox.broker("http://127.0.0.1:1/"), outbox.broker(receiver.url)
        outbox.execute(
            """UPDATE webhook_endpoints SET secrets = '[{"secret": 7}]' WHERE broker_id = %s""",
            broken,
        )
        outbox.trade(broken, good, 2)
        with running_sender(outbox.url):
            eventually("the other is sent", lambda: outbox.all_are("delivered", good), WAIT_S)
            eventually("an attempt failed", lambda: outbox.rows(broken)[0].attempts > 0, WAIT_S)
        assert "rotate" in (outbox.rows(broken)[0].last_error or "")
    ((source, item, reason),) = quarantined(outbox)
    assert (source, item) == ("webhook_endpoints", broken)
    assert "secrets are unreadable" in reason


def test_sender_waits_while_the_database_is_read_only(outbox: Outbox) -> None:
    with a_receiver() as receiver:
        broker, counterparty = outbox.broker(receiver.url), outbox.broker(None)
        set_read_only(outbox.url, "on")
        with running_sender(outbox.url):
            time.sleep(3 * RETRY_S)
            set_read_only(outbox.url, "off")
            outbox.trade(broker, counterparty)
            eventually("it is sent", lambda: len(receiver.received) == 1, WAIT_S)


def set_read_only(url: str, value: str) -> None:
    """Change the default of new sessions."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        name = connection.info.dbname
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_read_only = {value}".encode()
        )


def test_claim_above_the_floor_skips_what_a_long_snapshot_keeps(outbox: Outbox) -> None:
    """Rows delivered since an audit or a backup began stay in the index of pending ones."""
    broker = outbox.broker("http://a/")
    queue(outbox, broker, 50_000, age_s=60)
    with psycopg.connect(outbox.url) as audit:
        audit.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        audit.execute("SELECT 1")
        outbox.execute("UPDATE webhook_deliveries SET status = 'delivered', finished_at = now()")
        queue(outbox, broker, 10)
        first = outbox.rows(broker)[-10].webhook_id.removesuffix("-test")
        assert pages_of_claim(outbox, {broker: first}) < pages_of_claim(outbox, {}) / 5


def pages_of_claim(outbox: Outbox, floors: dict[str, str]) -> int:
    """Pages that PostgreSQL reads for a claim of the broker's ten webhooks."""
    read: list[int] = []

    class Explaining(WebhookStore):
        async def _execute(self, query: LiteralString, parameters: Any = None) -> list[Any]:
            if "claimed" not in query:
                return await super()._execute(query, parameters)
            explain: LiteralString = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
            async with self._connection.transaction(force_rollback=True):
                ((plan,),) = await super()._execute(explain + query, parameters)
            top = plan[0]["Plan"]
            assert top["Actual Rows"] == 10
            read.append(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
            return []

    async def claim() -> None:
        store = await Explaining.open(outbox.url)
        await store.begin()
        await store.claim([], floors=floors)
        await store.close()

    asyncio.run(claim())
    return read[0]


def test_receiver_that_was_opened_since_it_was_listed_is_not_parked(outbox: Outbox) -> None:
    broker = outbox.broker("http://127.0.0.1:1/")
    queue(outbox, broker, 3)

    async def parked() -> int:
        store = await MaintenanceStore.open(outbox.url)
        try:
            return (await store.park(broker, Key(), 0.0, GONE)).changed
        finally:
            await store.close()

    assert asyncio.run(parked()) == 0
    outbox.execute("UPDATE webhook_endpoints SET disabled_at = now() WHERE broker_id = %s", broker)
    assert asyncio.run(parked()) == 3
