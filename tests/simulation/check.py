"""Checks of a simulated log at the end of a scenario. Failures are AssertionErrors.

1. Every command has exactly one valid outcome, equal to the naive model's, byte for byte.
2. An execution filter that is restarted at any position reads the same outcomes.
3. The public topics contain every trade and book update, in order and unaltered. Repeats occur only
   if a superseded matcher still published.
4. The sink's tables equal the sum of the outcomes. A sink that starts from any position that was
   ever stored reads the outcomes of all later commands, once.
5. A new claim recovers the same engine as a replay of the whole command log, and the right number
   of published outcomes.
6. The audit accepts every snapshot that was not corrupted, whichever matcher wrote it; it notes
   those that lack outcomes, only where a power cut took some.
"""

from collections.abc import Iterator, Sequence

from schemas.book import BookUpdate
from schemas.codec import (
    UnreadableError,
    decode_book_update,
    decode_command,
    decode_snapshot,
    decode_trade,
    encode,
)
from schemas.commands import Command
from schemas.executions import Outcome
from schemas.snapshots import SnapshotCommit
from schemas.topics import BOOK, SNAPSHOTS, TRADES, Topic
from schemas.trades import Trade
from services.audit.report import AuditReport
from services.audit.snapshots import SnapshotAudit
from services.matcher.claim import Logs, take
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.rules import RULES
from services.matcher.snapshot import restore
from services.runtime.kafka.execution_filter import Batch, ExecutionFilter, FilterPosition
from services.runtime.kafka.execution_place import placed
from services.sink.rows import Rows
from tests.simulation.matcher import COMMAND_LOG, EXECUTION_LOG, LOG, NUMBER
from tests.simulation.memory_log import MemoryLog
from tests.simulation.sink import StoredOrder, Tables
from tests.support.naive_market import NaiveMarket
from tests.support.scenario import limits_of

Public = Trade | BookUpdate


def check(log: MemoryLog, tables: Tables, *, corrupted: bool, lost: bool) -> None:
    """`corrupted`: snapshots may be unusable. `lost`: power cuts took executions."""
    commands = list(_commands(log))
    model = NaiveMarket(NUMBER, limits_of(RULES))
    expected = [model.apply(command, at.offset, at.timestamp) for at, command in commands]
    _check_outcomes(log, expected)
    engine = Engine(NUMBER)
    trades: list[Public] = []
    updates: list[Public] = []
    claimed = take(Logs(log, log), LOG, NUMBER, log.range(EXECUTION_LOG).end - 1)
    assert claimed.next_command == len(commands), "a new claim does not see every outcome"
    recovered = claimed.recovered
    low = log.range(COMMAND_LOG).low
    usable = [record for record, commit in commits_of(log) if commit.next_command >= low]
    if usable and not corrupted and not lost:
        assert recovered.commit == usable[-1], "the newest intact snapshot is not used"
    next_command, digest = recovered.position.next_command, recovered.engine.digest()
    for at, command in commands:
        if at.offset == next_command:
            assert digest == engine.digest(), f"the engine recovered at {next_command} differs"
        outcome = engine.apply(command, at)
        trades += trades_of(outcome, at)
        updates += book_updates(outcome, at, engine)
    _check_public_topic(log, TRADES, trades)
    _check_public_topic(log, BOOK, updates)
    if next_command == len(commands):
        assert digest == engine.digest(), "the engine recovered at the end differs"
    _check_tables(tables, expected)
    _check_resumed(log, tables, expected)
    if not corrupted:
        _check_snapshots(log.untrimmed(), commands, lost=lost)


def commits_of(log: MemoryLog) -> Iterator[tuple[int, SnapshotCommit]]:
    """Record and commit of every snapshot, oldest first."""
    where = LOG.partition(SNAPSHOTS, NUMBER)
    for record in log.read(where, 0, log.range(where).end):
        try:
            snapshot = decode_snapshot(record.value())
        except UnreadableError:
            continue
        if isinstance(snapshot, SnapshotCommit):
            yield record.offset(), snapshot


def _commands(log: MemoryLog) -> Iterator[tuple[EnginePosition, Command | None]]:
    """All commands, including those that were trimmed."""
    log = log.untrimmed()
    end = log.range(COMMAND_LOG).end
    records = {record.offset(): record for record in log.read(COMMAND_LOG, 0, end)}
    for offset in range(end):
        record = records.get(offset)
        # An offset without a record is an unreadable command that moves no clock.
        at = EnginePosition(NUMBER, offset, 0 if record is None else record.timestamp()[1])
        try:
            yield at, None if record is None else decode_command(record.value())
        except UnreadableError:
            yield at, None


def _check_outcomes(log: MemoryLog, expected: Sequence[Outcome]) -> None:
    found: list[Outcome] = []
    execution_filter = ExecutionFilter({NUMBER: FilterPosition()})
    for record in log.read(EXECUTION_LOG, 0, log.range(EXECUTION_LOG).end):
        batch = execution_filter.accept(NUMBER, record.offset(), record.value())
        if batch is not None:
            assert batch.first_command == len(found), "a batch is out of order"
            found += batch.outcomes
        if record.offset() % 7 == 0:
            # Simulates a restart at this position.
            execution_filter = ExecutionFilter({NUMBER: execution_filter.position(NUMBER)})
    assert len(found) == len(expected), f"{len(expected)} commands, {len(found)} outcomes"
    for offset, (wanted, actual) in enumerate(zip(expected, found, strict=True)):
        assert encode(wanted) == encode(actual), f"command {offset}: {actual}, expected {wanted}"


def _check_snapshots(
    log: MemoryLog, commands: Sequence[tuple[EnginePosition, Command | None]], *, lost: bool
) -> None:
    where = LOG.partition(SNAPSHOTS, NUMBER)

    def restored(record: int, commit: SnapshotCommit) -> Engine:
        chunks = log.read(where, commit.first_chunk, record)
        return restore(commit, (chunk.value() or b"" for chunk in chunks))

    report = AuditReport()
    audited = SnapshotAudit(commits_of(log), restored, report)
    execution_filter = ExecutionFilter({NUMBER: FilterPosition()})
    for record in log.read(EXECUTION_LOG, 0, log.range(EXECUTION_LOG).end):
        audited.on_position(execution_filter.position(NUMBER))
        execution_filter.accept(NUMBER, record.offset(), record.value())
    audited.on_position(execution_filter.position(NUMBER))
    engine = Engine(NUMBER)
    audited.reached(0, engine)
    for at, command in commands:
        engine.apply(command, at)
        audited.reached(at.offset + 1, engine)
    audited.finish()
    assert report.holds, f"the audit of snapshots: {report['snapshots'].samples}"
    assert lost or not report["snapshots"].note, "a snapshot lacks outcomes without a power cut"


def _check_public_topic(log: MemoryLog, topic: Topic, expected: Sequence[Public]) -> None:
    where = LOG.partition(topic, NUMBER)
    decode = decode_trade if topic == TRADES else decode_book_update
    found: list[Public] = [decode(r.value()) for r in log.read(where, 0, log.range(where).end)]
    first: dict[tuple[str, int], Public] = {}
    for record in found:
        seen = first.setdefault((record.symbol, record.sequence), record)
        assert seen == record, f"{topic}: {record} was {seen} before"
    assert list(first.values()) == list(expected), f"{topic} differs from the command log's replay"
    assert len(found) == len(expected), f"{topic} contains repeats"


def _check_tables(tables: Tables, expected: Sequence[Outcome]) -> None:
    rows = Rows()
    rows.add(Batch(NUMBER, 0, tuple(expected)))
    orders = {
        order_id: StoredOrder(
            new.record.remaining_quantity,
            new.record.filled_value,
            new.record.trades_count,
            new.record.closed_reason,
            new.record.updated_at,
        )
        for order_id, new in rows.new.items()
    }
    assert tables.orders == orders, "the stored orders differ from the outcomes"
    trades = {trade.fill.trade_id: trade.fill.quantity for trade in rows.trades}
    assert tables.trades == trades, "the stored trades differ from the outcomes"
    assert tables.position.next_command == len(expected)


def _check_resumed(log: MemoryLog, tables: Tables, expected: Sequence[Outcome]) -> None:
    for stored in tables.history:
        at = placed(log, EXECUTION_LOG, COMMAND_LOG, stored)
        execution_filter = ExecutionFilter({NUMBER: at})
        found: list[Outcome] = []
        for record in log.read(EXECUTION_LOG, at.next_record, log.range(EXECUTION_LOG).end):
            batch = execution_filter.accept(NUMBER, record.offset(), record.value())
            found += () if batch is None else batch.outcomes
        assert found == list(expected[stored.next_command :]), f"resumed at {stored}"
