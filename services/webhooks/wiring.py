"""Composes the webhook calls of the API, which the gateway serves."""

from services.api.service import ApiContext, Half
from services.runtime.postgres.pool import PostgresPool
from services.runtime.settings import require
from services.webhooks.app import WebhookRoutes
from services.webhooks.deliveries import Deliveries


async def half(context: ApiContext) -> tuple[Half, Deliveries]:
    """Calls of brokers on the outbox, and the outbox."""
    database_url = require(context.settings.database_url, "database_url")
    pool = PostgresPool(database_url, read_only=False)
    await pool.open()
    context.ending.push_async_callback(pool.close)
    deliveries = Deliveries(pool)
    return Half(routers=[WebhookRoutes(deliveries).router()]), deliveries
