"""The expected webhooks, and a check that the outbox is empty; only reads the database."""

import time
from contextlib import closing
from typing import Final, LiteralString

import psycopg

from benchmarks.webhooks.figures import Side
from schemas.topics import COMMANDS
from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.progress import Progress
from services.runtime.settings import Settings

# Counting pending rows costs PostgreSQL time that the sender needs.
_POLL_S: Final = 0.5
# A local server answers at once, or is down.
_CONNECT_TIMEOUT_S: Final = 5
_POSITIONS: LiteralString = "SELECT partition, next_command FROM log_positions"
_PENDING: LiteralString = "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"
# Selected from the trades, so that a side which was never queued also counts as lost.
_SIDES: LiteralString = """
    SELECT side.broker_id::text, t.id || '-' || side.kind,
        (extract(epoch FROM t.executed_at) * 1000000)::bigint,
        (extract(epoch FROM d.queued_at) * 1000000)::bigint
    FROM trades t
    CROSS JOIN LATERAL (VALUES ('bid', t.buy_broker_id), ('ask', t.sell_broker_id))
        AS side (kind, broker_id)
    LEFT JOIN webhook_deliveries d
        ON (d.broker_id, d.event_id, d.kind) = (side.broker_id, t.id, side.kind)
"""


def wait_until_drained(settings: Settings, wait_s: float, progress: Progress) -> bool:
    """Wait until the command log is stored and no webhook is pending; False at the time limit."""
    ends = {number: _end(settings, number) for number in range(settings.partitions)}
    deadline = time.monotonic() + wait_s
    left_first: int | None = None
    with closing(_connect(settings)) as connection:
        while True:
            stored: dict[int, int] = dict(connection.execute(_POSITIONS).fetchall())
            behind = sum(max(0, end - stored.get(number, 0)) for number, end in ends.items())
            pending = int(connection.execute(_PENDING).fetchall()[0][0])
            if not behind and not pending:
                return True
            if time.monotonic() >= deadline:
                return False
            left = behind + pending
            if left_first is None:
                left_first = left
                progress.begin("draining", left, "records")
            # Storing a command may add webhooks.
            progress.update(
                max(0, left_first - left),
                f"{behind:,} commands to store, {pending:,} webhooks to send",
            )
            time.sleep(_POLL_S)


def sides(settings: Settings) -> list[Side]:
    """The sides of every trade; all brokers of this exchange have a URL."""
    with closing(_connect(settings)) as connection:
        return [Side(*row) for row in connection.execute(_SIDES)]


def _connect(settings: Settings) -> psycopg.Connection:
    try:
        return psycopg.connect(
            settings.database_url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        )
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UnavailableError(f"PostgreSQL does not answer: {reason}") from error


def _end(settings: Settings, number: int) -> int:
    partition = Partition(COMMANDS.full_name(settings.topic_prefix), number)
    with closing(LogReader(kafka_access(settings), partition)) as reader:
        return reader.end
