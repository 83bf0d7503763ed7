"""The bound on test webhooks that wait for delivery, per broker."""

import asyncio
import uuid

import psycopg

from services.runtime.postgres.pool import PostgresPool
from services.webhooks.deliveries import TESTS_PENDING_MAX, Deliveries
from tests.support.outbox import Outbox
from tests.support.servers import DatabaseServer


def test_pending_tests_of_a_broker_are_bounded(postgres: DatabaseServer) -> None:
    url = postgres.create_database("webhook_tests")
    outbox = Outbox(url)
    broker, other = (outbox.broker("http://127.0.0.1:1/") for _ in range(2))
    outbox.close()

    async def queued(deliveries: Deliveries, broker_id: str, count: int) -> int:
        ids = [str(uuid.uuid4()) for _ in range(count)]
        found = [await deliveries.queue_test(broker_id, event_id) for event_id in ids]
        return sum(each is not None for each in found)

    async def check() -> None:
        pool = PostgresPool(url, read_only=False)
        await pool.open()
        deliveries = Deliveries(pool)
        assert await queued(deliveries, broker, TESTS_PENDING_MAX + 5) == TESTS_PENDING_MAX
        assert await queued(deliveries, other, 1) == 1
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "UPDATE webhook_deliveries SET status = 'delivered', finished_at = now()"
                " WHERE broker_id = %s AND event_id IN (SELECT event_id FROM webhook_deliveries"
                " WHERE broker_id = %s LIMIT 2)",
                [broker, broker],
            )
        assert await queued(deliveries, broker, 5) == 2
        await pool.close()

    asyncio.run(check())
