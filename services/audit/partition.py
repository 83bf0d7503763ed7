"""Audits one partition as streams: commands, recorded outcomes, snapshots, the public topics.

All are read in parallel, a chunk of commands at a time, so memory holds books, open orders and
expected public records, never a log.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice

from msgspec import Struct

from schemas.book import BookUpdate
from schemas.codec import UnreadableError, decode_book_update, decode_trade
from schemas.commands import Command
from schemas.executions import Outcome
from schemas.snapshots import SnapshotCommit
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, SNAPSHOTS, TRADES, Topic
from schemas.trades import Trade
from services.audit.beginning import Beginning, find_beginning
from services.audit.books import SIDES, OutcomeBooks
from services.audit.carried import carried_orders, carried_stop
from services.audit.client_answers import Answers
from services.audit.client_log import ClientLog
from services.audit.database import Database
from services.audit.instruments import InstrumentAudit
from services.audit.ledger import Ledger, Totals
from services.audit.phases import PhaseAudit
from services.audit.protections import Protections
from services.audit.public import PublicTopic, RebuiltBooks
from services.audit.report import AuditReport, Name
from services.audit.snapshots import SnapshotAudit
from services.audit.stops import StopAudit
from services.matcher.engine import Engine, EnginePosition
from services.matcher.recovery import LogTopics, commits_of
from services.matcher.snapshot import restore
from services.replay.command_log import commands as command_records
from services.replay.recompute import Recomputation, command_of
from services.replay.recorded import recorded_outcomes
from services.runtime.errors import BrokenLogError, UnavailableError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.log_reader import LogReader, Record
from services.runtime.settings import Settings

# Commands per chunk; bounds the public records that are expected and not yet read.
CHUNK_COMMANDS = 5_000

Public = Trade | BookUpdate


class Cut(Struct, frozen=True):
    """Offsets at which the audit stops: in the command log, and in PostgreSQL."""

    log: int
    stored: int


class Tools(Struct, frozen=True):
    """Shared parts of one audit. `topic_id`: of the executions topic."""

    settings: Settings
    topic_id: str
    report: AuditReport
    totals: Totals
    database: Database
    client_log: ClientLog | None
    progress: Callable[[int], None]


class PartitionAudit:
    """The audit of one partition, for one use."""

    def __init__(self, number: int, cut: Cut, tools: Tools) -> None:
        self._number = number
        self._cut = cut
        self._tools = tools
        self._ledger = Ledger(number, tools.totals, tools.report)
        self._instruments = InstrumentAudit(number, tools.report)
        self._protections = Protections(self._ledger.open, self._instruments)
        self._books = OutcomeBooks(number, tools.report, self._protections)
        self._phases = PhaseAudit(number, self._ledger.open, tools.report)
        self._stops = StopAudit(number, tools.report)
        self._answers = Answers(self._ledger.open, self._stops, tools.report)
        self._rebuilt = RebuiltBooks()

    def run(self) -> None:
        """Run the audit. Raises UnavailableError if the log has lost its first records and no
        snapshot replaces them."""
        with ExitStack() as closes:
            commands = self._reader(COMMANDS, closes)
            commands.end = min(commands.end, self._cut.log)
            consumer = closes.enter_context(
                closing(LogConsumer(kafka_access(self._tools.settings), Fetch(wait_ms=10)))
            )
            log = LogTopics(self._tools.settings.topic_prefix, self._tools.topic_id)
            self._begin(find_beginning(consumer, log, self._number))
            # Before the end of executions is taken, so that every snapshot's position is below it.
            self._snapshots = self._found_snapshots(consumer, log)
            self._snapshots.reached(self._first, self._recomputation.engine)
            told = self._outcomes(self._reader(EXECUTIONS, closes))
            public = [
                self._stream(TRADES, "trades_topic", decode_trade, closes),
                self._stream(BOOK, "book_topic", decode_book_update, closes),
            ]
            if self._first and self._first == self._cut.stored:
                self._compare_stored(last=True)
            records = command_records(commands, self._first)
            while chunk := list(islice(records, CHUNK_COMMANDS)):
                self._chunk(chunk, told, public)
                self._tools.progress(len(chunk))
            # Examine snapshots whose position is the end of executions.
            for _ in told:
                pass
            self._finish(public)

    def _begin(self, beginning: Beginning) -> None:
        self._first, self._position = beginning.first, beginning.position
        self._recomputation = Recomputation(beginning.engine, self._first)
        self._recorded = self._first
        # Before the beginning, PostgreSQL's rows cannot be compared.
        self._stored_done = self._cut.stored < max(self._first, 1)
        if not self._first:
            return
        state = beginning.engine.snapshot()
        self._answers.clock = state.clock
        self._books.carry(state)
        self._instruments.carry(state.instruments)
        self._phases.carry(state)
        self._stops.carry(state.stops, state.instruments)
        for stop in state.stops:
            self._ledger.carry(carried_stop(stop), stop.accepted_at, state.clock)
        for event, order in carried_orders(state):
            shown = order.remaining_quantity if event.display_quantity else None
            self._ledger.carry(event, order.accepted_at, state.clock, shown)
        self._tools.database.begins_at(self._number, self._first)
        if self._tools.client_log is not None:
            raise UnavailableError(
                f"the log of partition {self._number} begins at command {self._first}: answers of "
                "clients can only be compared with a whole log"
            )

    def _chunk(
        self, chunk: list[Record], told: Iterator[Outcome], public: list["PublicStream"]
    ) -> None:
        outcomes = self._tools.report["outcomes"]
        outcomes.checked += len(chunk)
        for record in chunk:
            command = command_of(record.value)
            recorded = next(told, None)
            if self._tools.client_log is not None:
                self._tools.client_log.command(command, recorded)
            if recorded is None:
                outcomes.fail(f"{self._number}@{record.offset} has no outcome")
                continue
            at = EnginePosition(self._number, record.offset, record.timestamp)
            self._recompute(command, at, recorded)
            self._answers.look(command, recorded, at)
            # Before the instruments and the ledger, whose state it needs as of the command.
            self._books.apply(recorded, record.offset, command)
            self._instruments.apply(command, recorded, record.offset)
            self._phases.apply(command, recorded, record.offset)
            self._stops.apply(recorded, record.offset)
            for trade in self._books.trades:
                public[0].topic.expect(trade)
            for update in self._books.updates:
                public[1].topic.expect(update)
            self._ledger.apply(recorded, record.offset)
            if record.offset < self._cut.stored:
                self._tools.database.own_events.add(recorded, self._number)
            self._recorded += 1
            self._snapshots.reached(record.offset + 1, self._recomputation.engine)
            if record.offset + 1 == self._cut.stored:
                self._compare_stored(last=True)
        for stream in public:
            stream.advance(chunk[-1].offset)
        self._compare_stored(last=False)

    def _recompute(self, command: Command | None, at: EnginePosition, recorded: Outcome) -> None:
        invariant = self._tools.report["recomputed"]
        invariant.checked += 1
        outcome = self._recomputation.apply(at.offset, at.timestamp, command)
        difference = self._recomputation.compare(outcome, recorded)
        if difference is not None:
            invariant.fail(
                f"{self._number}@{at.offset}: recorded {difference.recorded}, "
                f"recomputed {difference.recomputed}"
            )

    def _compare_stored(self, *, last: bool) -> None:
        """Compare closed orders and new trades, and at PostgreSQL's position the open orders
        too."""
        closed, trades = self._ledger.take_closed(), self._ledger.take_trades()
        if self._stored_done:
            return
        self._stored_done = last
        states = [*closed, *self._ledger.open.values()] if last else closed
        self._tools.database.compare_orders(states, self._number)
        self._tools.database.compare_trades(trades, self._number)
        if last:
            books = self._books
            self._tools.database.compare_books(books.sequences(), books.clock, self._number)
            self._tools.database.compare_instruments(self._instruments.stored(), self._number)

    def _finish(self, public: list["PublicStream"]) -> None:
        self._compare_stored(last=True)
        self._compare_positions()
        self._ledger.finish()
        compare_engine(self._recomputation.engine, self._books, self._tools.report)
        self._snapshots.finish()
        for stream in public:
            stream.finish()
        if not public[1].partial:
            self._compare_books()

    def _compare_positions(self) -> None:
        stored = self._tools.report["stored"]
        stored.checked += self._recorded
        off = self._cut.stored - self._recorded
        if off:
            where = "behind" if off < 0 else "ahead of what is recorded"
            stored.fail(f"partition {self._number} is {abs(off)} commands {where}", abs(off))

    def _compare_books(self) -> None:
        invariant = self._tools.report["book_topic"]
        for symbol in sorted(self._books.sequences().keys() | self._rebuilt.symbols()):
            for side in SIDES:
                levels = sorted(self._books.levels(symbol, side), key=lambda level: level.price)
                if levels != self._rebuilt.levels(symbol, side):
                    invariant.fail(f"{symbol} {side}: the book rebuilt from the topic differs")

    def _outcomes(self, executions: LogReader) -> Iterator[Outcome]:
        """The recorded outcomes that count; a log that contradicts itself ends them."""
        on_position = self._snapshots.on_position
        try:
            yield from recorded_outcomes(executions, self._number, self._position, on_position)
        except BrokenLogError as error:
            self._tools.report["outcomes"].fail(str(error))

    def _found_snapshots(self, consumer: LogConsumer, log: LogTopics) -> SnapshotAudit:
        snapshots = log.partition(SNAPSHOTS, self._number)
        low = consumer.range(snapshots).low

        def restored(record: int, commit: SnapshotCommit) -> Engine | None:
            if commit.first_chunk < low:
                return None
            chunks = consumer.read(snapshots, commit.first_chunk, record)
            return restore(commit, (chunk.value() or b"" for chunk in chunks))

        found = [
            (record, commit)
            for record, commit in commits_of(consumer, snapshots)
            if (commit.log, commit.partition) == (log.topic_id, self._number)
            and self._first <= commit.next_command <= self._cut.log
        ]
        return SnapshotAudit(found, restored, self._tools.report)

    def _stream(
        self,
        topic: Topic,
        name: Name,
        decode: Callable[[bytes | None], Public],
        closes: ExitStack,
    ) -> "PublicStream":
        reader = self._reader(topic, closes)
        invariant = self._tools.report[name]
        if reader.low > 0:
            invariant.remark("its beginning is gone by retention")
        checked = PublicTopic(f"{topic.name}/{self._number}", invariant, partial=reader.low > 0)
        return PublicStream(reader, checked, decode, self._rebuilt, (self._first, self._cut.log))

    def _reader(self, topic: Topic, closes: ExitStack) -> LogReader:
        settings = self._tools.settings
        partition = Partition(topic.full_name(settings.topic_prefix), self._number)
        return closes.enter_context(
            closing(LogReader(kafka_access(settings), partition, committed=topic.transactional))
        )


def compare_engine(engine: Engine, books: OutcomeBooks, report: AuditReport) -> None:
    """Compare the recomputed engine's books with those of the outcomes, at the end of the log."""
    for symbol in sorted(engine.books.keys() | books.sequences().keys()):
        book = engine.books.get(symbol)
        for side in SIDES:
            levels = [] if book is None else book.levels(side)
            if levels != books.levels(symbol, side):
                report["recomputed"].fail(f"{symbol} {side}: the engine has another book")


class PublicStream:
    """A public topic, read up to a given command."""

    def __init__(
        self,
        reader: LogReader,
        topic: PublicTopic,
        decode: Callable[[bytes | None], Public],
        rebuilt: RebuiltBooks,
        commands: tuple[int, int],
    ) -> None:
        """`commands`: the first command whose records are compared, and the one after the last."""
        self.topic = topic
        self.partial = reader.low > 0
        self._records = reader.records()
        self._decode = decode
        self._rebuilt = rebuilt
        self._first, self._cut = commands
        self._ahead: tuple[Record, Public] | None = None

    def advance(self, offset: int) -> None:
        """Compare everything that commands up to this offset led to."""
        while True:
            if self._ahead is None:
                self._ahead = self._next()
            if self._ahead is None or self._ahead[1].command_offset > offset:
                return
            record, item = self._ahead
            self._ahead = None
            if item.command_offset >= self._first:
                self.topic.found(item, record.offset)
            if isinstance(item, BookUpdate):
                self._rebuilt.apply(item)

    def finish(self) -> None:
        """Compare up to the cut; later records are not part of this audit."""
        self.advance(self._cut - 1)
        self.topic.finish()

    def _next(self) -> tuple[Record, Public] | None:
        for record in self._records:
            try:
                return record, self._decode(record.value)
            except UnreadableError as error:
                self.topic.unreadable(record.offset, str(error))
        return None
