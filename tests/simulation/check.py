"""What must hold of a simulated log once everything is quiet; told by AssertionErrors.

1. Every command has one outcome that counts, and it is the naive model's, byte for byte.
2. Any follower that stops and resumes anywhere sees the same.
3. Public topics tell each trade and book update in order, none missing, none altered; repeated only
   where a matcher that was overtaken still spoke.
4. The tables are what the outcomes add up to.
5. Whoever claims now gets the engine that the whole log gives, and knows what was told.
6. The audit finds nothing wrong with any snapshot that nobody spoilt, whoever wrote it.
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
from schemas.topics import BOOK, SNAPSHOTS, TRADES
from schemas.trades import Trade
from services.audit.report import AuditReport
from services.audit.snapshots import SnapshotAudit
from services.matcher.claim import take
from services.matcher.engine import RULES, Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.snapshot import restore
from services.runtime.kafka.execution_filter import Batch, ExecutionFilter, FilterPosition
from services.sink.rows import Rows
from tests.simulation.matcher import COMMAND_LOG, EXECUTION_LOG, LOG, NUMBER
from tests.simulation.memory_log import MemoryLog
from tests.simulation.sink import StoredOrder, Tables
from tests.support.naive_market import NaiveMarket
from tests.support.scenario import limits_of

Public = Trade | BookUpdate


def check(log: MemoryLog, tables: Tables, *, repeats: bool, spoilt: bool) -> None:
    """`repeats`: public records may be told again; `spoilt`: snapshots may be unusable."""
    commands = list(_commands(log))
    model = NaiveMarket(NUMBER, limits_of(RULES))
    expected = [model.apply(command, at.offset, at.timestamp) for at, command in commands]
    _outcomes(log, expected)
    engine = Engine(NUMBER)
    trades: list[Public] = []
    updates: list[Public] = []
    claimed = take(log, LOG, NUMBER, log.range(EXECUTION_LOG).end - 1)
    assert claimed.next_command == len(commands), "who claims now does not see what was told"
    recovered = claimed.recovered
    low = log.range(COMMAND_LOG).low
    usable = [record for record, commit in commits_of(log) if commit.next_command >= low]
    if usable and not spoilt:
        assert recovered.commit == usable[-1], "a snapshot that nobody spoilt is of no use"
    next_command, digest = recovered.position.next_command, recovered.engine.digest()
    for at, command in commands:
        if at.offset == next_command:
            assert digest == engine.digest(), f"the engine recovered at {next_command} is another"
        outcome = engine.apply(command, at)
        trades += trades_of(outcome, at)
        updates += book_updates(outcome, at, engine)
    _public(log, TRADES.name, trades, repeats=repeats)
    _public(log, BOOK.name, updates, repeats=repeats)
    if next_command == len(commands):
        assert digest == engine.digest(), "the engine recovered at the end is another"
    _tables(tables, expected)
    if not spoilt:
        _snapshots(log.untrimmed(), commands)


def commits_of(log: MemoryLog) -> Iterator[tuple[int, SnapshotCommit]]:
    """Record and commit of every snapshot, oldest first."""
    where = LOG.partition(SNAPSHOTS.name, NUMBER)
    for record in log.read(where, 0, log.range(where).end):
        try:
            snapshot = decode_snapshot(record.value())
        except UnreadableError:
            continue
        if isinstance(snapshot, SnapshotCommit):
            yield record.offset(), snapshot


def _commands(log: MemoryLog) -> Iterator[tuple[EnginePosition, Command | None]]:
    """All there ever were, also those that were trimmed."""
    log = log.untrimmed()
    for record in log.read(COMMAND_LOG, 0, log.range(COMMAND_LOG).end):
        at = EnginePosition(NUMBER, record.offset(), record.timestamp()[1])
        try:
            yield at, decode_command(record.value())
        except UnreadableError:
            yield at, None


def _outcomes(log: MemoryLog, expected: Sequence[Outcome]) -> None:
    told: list[Outcome] = []
    execution_filter = ExecutionFilter({NUMBER: FilterPosition()})
    for record in log.read(EXECUTION_LOG, 0, log.range(EXECUTION_LOG).end):
        batch = execution_filter.accept(NUMBER, record.offset(), record.value())
        if batch is not None:
            assert batch.first_command == len(told), "a batch is out of place"
            told += batch.outcomes
        if record.offset() % 7 == 0:
            execution_filter = ExecutionFilter({NUMBER: execution_filter.position(NUMBER)})
    assert len(told) == len(expected), f"{len(expected)} commands, {len(told)} outcomes"
    for offset, (mine, its) in enumerate(zip(expected, told, strict=True)):
        assert encode(mine) == encode(its), f"command {offset}: {its}, the model says {mine}"


def _snapshots(log: MemoryLog, commands: Sequence[tuple[EnginePosition, Command | None]]) -> None:
    where = LOG.partition(SNAPSHOTS.name, NUMBER)

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


def _public(log: MemoryLog, topic: str, expected: Sequence[Public], *, repeats: bool) -> None:
    where = LOG.partition(topic, NUMBER)
    decode = decode_trade if topic == TRADES.name else decode_book_update
    found: list[Public] = [decode(r.value()) for r in log.read(where, 0, log.range(where).end)]
    first: dict[tuple[str, int], Public] = {}
    for one in found:
        seen = first.setdefault((one.symbol, one.sequence), one)
        assert seen == one, f"{topic}: {one} was {seen} before"
    assert list(first.values()) == list(expected), f"{topic} is not what the log gives"
    assert repeats or len(found) == len(expected), f"{topic} repeats"


def _tables(tables: Tables, expected: Sequence[Outcome]) -> None:
    rows = Rows()
    rows.add(Batch(NUMBER, 0, tuple(expected)))
    orders = {
        order_id: StoredOrder(
            new.record.remaining_quantity,
            new.record.filled_value,
            new.record.closed_reason,
            new.record.updated_at,
        )
        for order_id, new in rows.new.items()
    }
    assert tables.orders == orders, "the stored orders are not the log's"
    trades = {trade.fill.trade_id: trade.fill.quantity for trade in rows.trades}
    assert tables.trades == trades, "the stored trades are not the log's"
    assert tables.position.next_command == len(expected)
