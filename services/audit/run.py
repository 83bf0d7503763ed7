"""The steps of an audit: 1. cut, 2. every partition, 3. sums over partitions, 4. brokers.

The cut is the end of the command log at the start, and PostgreSQL's position in one snapshot at
or after it, so that a running exchange can be audited. Only reads.
"""

import time
from collections.abc import Iterable
from contextlib import closing, suppress

from schemas.broker_records import BrokerRecords
from schemas.brokers import Broker
from schemas.codec import UnreadableError
from schemas.topics import BROKERS, COMMANDS, Topic
from services.audit.client_log import ClientLine, ClientLog
from services.audit.database import Database
from services.audit.ledger import Totals
from services.audit.parallel import Shared, audit_partitions
from services.audit.partition import Cut
from services.audit.report import AuditReport
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.compacted import last_records
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.postgres.connection import command_errors
from services.runtime.progress import Progress
from services.runtime.settings import Settings

POLL_S = 0.1
# The matcher's public records linger; they are all written one linger later.
PUBLIC_SETTLE_S = 0.5


def run_audit(
    settings: Settings, client_lines: Iterable[ClientLine] | None, wait_s: float, progress: Progress
) -> AuditReport:
    """Run an audit. Raises UnavailableError, TopicsError if the topics cannot be read."""
    report = AuditReport()
    lines = None if client_lines is None else tuple(client_lines)
    if lines is None:
        report.leave_out("acknowledged", "refused")
    client_log = None if lines is None else ClientLog(lines)
    kafka = kafka_access(settings)
    partitions = TopicsAdmin(kafka, settings.topic_prefix).verify().partitions
    with command_errors(), closing(Database(settings.database_url, report)) as database:
        cuts = _cut(settings, database, partitions, wait_s, progress)
        # After the cut, so that every broker that trades before it is included.
        brokers = tuple(_read_brokers(settings))
        database.webhooks.begin(brokers)
        topic_id = log_identity(kafka, settings.topic_prefix).topic_id
        shared = Shared(settings, topic_id, database.shared_snapshot(), brokers, lines)
        totals = Totals()
        for number, found in enumerate(audit_partitions(shared, cuts, progress)):
            report.add(found.invariants)
            totals.add(number, found.totals, report)
            database.sums.add(found.stored)
            if client_log is not None and found.client_log is not None:
                client_log.add(found.client_log)
        totals.check(report)
        if client_log is not None:
            client_log.check(report)
        database.no_row_too_many()
        _brokers(settings, database, report, wait_s)
    return report


def _cut(
    settings: Settings, database: Database, partitions: int, wait_s: float, progress: Progress
) -> dict[int, Cut]:
    ends = {number: _end(settings, COMMANDS, number) for number in range(partitions)}
    deadline = time.monotonic() + wait_s
    behind_first: int | None = None
    while True:
        stored = database.fresh_positions()
        behind = sum(max(0, end - stored.get(number, 0)) for number, end in ends.items())
        if not behind or time.monotonic() >= deadline:
            break
        if behind_first is None:
            behind_first = behind
            progress.begin("waiting for PostgreSQL", behind, "commands")
        progress.update(behind_first - behind)
        time.sleep(POLL_S)
    time.sleep(PUBLIC_SETTLE_S)
    return {
        number: Cut(max(end, stored.get(number, 0)), stored.get(number, 0))
        for number, end in ends.items()
    }


def _end(settings: Settings, topic: Topic, number: int) -> int:
    partition = Partition(topic.full_name(settings.topic_prefix), number)
    with closing(
        LogReader(kafka_access(settings), partition, committed=topic.transactional)
    ) as reader:
        return reader.end


def _read_brokers(settings: Settings) -> list[Broker]:
    brokers = BrokerRecords()
    for key, value in last_records(settings, BROKERS).items():
        # A record of a foreign writer is skipped by every reader.
        with suppress(UnreadableError):
            brokers.apply(key.encode(), value)
    return list(brokers)


def _brokers(settings: Settings, database: Database, report: AuditReport, wait_s: float) -> None:
    invariant = report["stored_brokers"]
    deadline = time.monotonic() + wait_s
    while True:
        brokers = _read_brokers(settings)
        differences = database.compare_brokers(brokers)
        if not differences or time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    invariant.checked += len(brokers)
    for difference in differences:
        invariant.fail(difference)
