"""`python -m services.webhooks`: composes and runs the webhook sender."""

import argparse
import asyncio
import logging
import os

import uvloop

from services.runtime.errors import SettingsError
from services.runtime.health import Health, health_answered
from services.runtime.lifecycle import Stop, run
from services.runtime.open_files import raise_file_limit
from services.runtime.postgres.connection import checked_url
from services.runtime.settings import Settings, require, variable
from services.webhooks.address import Network, parse_networks
from services.webhooks.loop import TURN_S, WebhookLoop
from services.webhooks.maintenance import Pruner, Sweeper
from services.webhooks.receiver_run import SendPolicy
from services.webhooks.schedule import POLICIES
from services.webhooks.sender import WebhookSender

log = logging.getLogger(__name__)

# Far more receivers than one process serves; most systems allow it.
FILES_WANTED = 65_536
# Of the log, PostgreSQL, health and look-ups of names.
OTHER_FILES = 256


def allowed_networks(settings: Settings) -> tuple[Network, ...]:
    """Check the settings of the sender. Raises SettingsError with one readable line."""
    try:
        return parse_networks(settings.webhook_allow_cidrs)
    except ValueError as error:
        name = variable("webhook_allow_cidrs")
        raise SettingsError(f"{name}={settings.webhook_allow_cidrs}: {error}") from error


def receivers_max(files: int, concurrency: int) -> int:
    """Receivers at once with so many open files: each has its connections, and the idle ones of a
    run before."""
    return max(1, (files - OTHER_FILES) // (2 * concurrency))


async def serve(settings: Settings, stop: Stop) -> None:
    """Send webhooks until the stop."""
    # 1. Allowed addresses and the retry policy.
    allowed = allowed_networks(settings)
    if allowed:
        log.warning("webhooks may reach %s", ", ".join(map(str, allowed)))
    policy = POLICIES[settings.webhook_retries or "standard"]
    send_policy = SendPolicy(
        policy,
        settings.webhook_concurrency,
        TURN_S,
        receivers_max(raise_file_limit(FILES_WANTED), settings.webhook_concurrency),
    )
    async with WebhookSender(allowed) as sender:
        # 2. The loop, its health checks, and the maintenance of the outbox.
        database_url = checked_url(require(settings.database_url, "database_url"))
        sweeper = Sweeper(database_url, policy.span_s, settings.webhook_pending_max)
        pruner = Pruner(database_url, settings.webhook_keep_days)
        loop = WebhookLoop(database_url, sender.post, send_policy, sweeper.begin_soon)
        health = Health()
        health.add("postgres", loop.postgres)
        health.add("claiming", loop.claiming)
        # 3. Until the stop.
        running = asyncio.get_running_loop()

        def end() -> None:
            sweeper.stop()
            pruner.stop()
            loop.stop()

        def end_soon() -> None:
            running.call_soon_threadsafe(end)

        stop.on_set(end_soon)
        if stop.is_set():
            end()
        maintaining = [asyncio.create_task(each.run()) for each in (sweeper, pruner)]
        try:
            with health_answered(settings, health):
                await loop.run()
        finally:
            sweeper.stop()
            pruner.stop()
            await asyncio.gather(*maintaining)


def webhooks(settings: Settings, stop: Stop) -> None:
    """Send the webhooks of all brokers."""
    uvloop.run(serve(settings, stop))


def main() -> int:
    """Exit code as in `services.runtime.errors`."""
    argparse.ArgumentParser(
        prog="python -m services.webhooks",
        description="Sends brokers their webhooks. Several may run side by side. Settings are "
        "EXCHANGE_... variables: EXCHANGE_DATABASE_URL, EXCHANGE_WEBHOOK_ALLOW_CIDRS, "
        "EXCHANGE_WEBHOOK_RETRIES, EXCHANGE_WEBHOOK_CONCURRENCY, EXCHANGE_WEBHOOK_KEEP_DAYS, "
        "EXCHANGE_WEBHOOK_PENDING_MAX, EXCHANGE_METRICS_PORT.",
    ).parse_args()
    return run("webhooks", dict(os.environ), webhooks)
