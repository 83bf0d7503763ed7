"""Claims a partition: 1. append a claim, 2. recover, 3. read the outcomes published before it.

A claim's nonce and offset in executions are the epoch of everything that its matcher writes; a
later claim makes those records stale for every reader. Reading never waits for records after it.
"""

import logging
from typing import NamedTuple

from msgspec import Struct

from schemas.codec import UnreadableError, decode_book_update, decode_trade, encode
from schemas.executions import LevelClaim, claim_offset, epoch_of
from schemas.snapshots import Published, PublishedPosition
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, TRADES
from services.matcher.publish import RecordSender
from services.matcher.recovery import LogTopics, Recovered, recover
from services.runtime.errors import BrokenLogError, DeliveryError
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.reading import Reading
from services.runtime.kafka.records import record_offset
from services.runtime.kafka.unreadable import log_unreadable
from services.runtime.settings import variable

logger = logging.getLogger(__name__)

# Offsets at the end of a public partition that are searched for the highest position; more if they
# hold no committed record, only those of aborted transactions and markers.
TAIL_OFFSETS = 2_000
_MORE = 4

_NONE = PublishedPosition()
# Of a topic whose records are all past their retention, so that they were published long ago.
_ALL = PublishedPosition(2**63 - 1)


class Claimed(Struct, frozen=True):
    """A claimed partition: the epoch to write with, and how far earlier matchers have published.

    `next_command` is the first command without a valid outcome. `recovered` is the starting state:
    a snapshot, or an empty engine at the beginning of the command log.
    """

    partition: int
    epoch: int
    next_command: int
    recovered: Recovered
    trades: PublishedPosition
    book: PublishedPosition


def append_claim(
    sender: RecordSender, logs: Reading, executions: Partition, claim: LevelClaim
) -> int:
    """Append a claim with the sender of the outcomes, and return its epoch. Raises DeliveryError.

    With the same sender, because a broker that has lost outcomes in a power cut, but not the claim
    before them, refuses those that the sender has left: they would leave a gap.
    """
    value = encode(claim)
    start = logs.range(executions).end
    sender.send(executions.topic, executions.number, str(executions.number).encode(), value)
    sender.flush()
    for message in logs.read(executions, start, logs.range(executions).end):
        if message.value() == value:
            return epoch_of(claim, record_offset(message))
    raise DeliveryError(f"{executions.topic}/{executions.number} has lost the claim")


class Logs(NamedTuple):
    """Readers of the topics. Public records count once they are committed, all others at once."""

    uncommitted: Reading
    committed: Reading


def take(logs: Logs, log: LogTopics, partition: int, epoch: int) -> Claimed:
    """Find the newest valid snapshot, then read the outcomes between it and the claim.

    Raises BrokenLogError if there is neither a snapshot nor the beginning of the command log.
    """
    published = published_up_to(logs.committed, log, partition)
    recovered = recover(logs.uncommitted, log, partition, claim_offset(epoch) + 1, published)
    return claimed(logs, log, epoch, recovered, recovered.position, published)


def claimed(
    logs: Logs,
    log: LogTopics,
    epoch: int,
    recovered: Recovered,
    seen: FilterPosition,
    published: Published,
) -> Claimed:
    """Read the outcomes between `seen`, which the engine has not passed, and the claim."""
    partition = recovered.engine.partition
    executions = log.partition(EXECUTIONS, partition)
    next_command = _next_command(logs.uncommitted, executions, epoch, seen)
    _require_commands(logs.uncommitted, log.partition(COMMANDS, partition), next_command)
    marks = [
        PublishedPosition(next_command) if mark == _ALL else mark
        for mark in (published.trades, published.book)
    ]
    fields = {"partition": partition, "epoch": epoch, "next_command": next_command}
    logger.info("claimed", extra={"fields": fields})
    return Claimed(partition, epoch, next_command, recovered, *marks)


def _require_commands(logs: Reading, commands: Partition, next_command: int) -> None:
    # New commands would get offsets that have outcomes already, and therefore none of their own.
    end = logs.range(commands).end
    if end < next_command:
        raise BrokenLogError(
            f"{commands.topic}/{commands.number} ends at {end}, but there are outcomes of commands "
            f"up to {next_command - 1}: commands were lost, or the topic was deleted and made "
            "again; bring it back from a replica or a backup, or begin a new exchange with another "
            f"{variable('topic_prefix')} and an empty database"
        )


def _next_command(logs: Reading, executions: Partition, epoch: int, start: FilterPosition) -> int:
    execution_filter = ExecutionFilter({executions.number: start}, log_unreadable)
    for message in logs.read(executions, start.next_record, claim_offset(epoch) + 1):
        execution_filter.accept(executions.number, record_offset(message), message.value())
    return execution_filter.position(executions.number).next_command


def published_up_to(logs: Reading, log: LogTopics, partition: int) -> Published:
    """The published positions of a partition; the next records are the first to send."""
    trades, book = (
        _newest_position(logs, log.partition(topic, partition)) for topic in (TRADES, BOOK)
    )
    return Published(trades, book)


def _newest_position(logs: Reading, public: Partition) -> PublishedPosition:
    held = logs.range(public)
    if held.end and held.low == held.end:
        return _ALL
    tail, start = TAIL_OFFSETS, max(held.low, held.end - TAIL_OFFSETS)
    while (highest := _highest(logs, public, start, held.end)) == _NONE and start > held.low:
        tail *= _MORE
        start = max(held.low, held.end - tail)
    return highest


def _highest(logs: Reading, public: Partition, start: int, end: int) -> PublishedPosition:
    decode = decode_trade if TRADES.name in public.topic else decode_book_update
    highest = _NONE
    for message in logs.read(public, start, end):
        try:
            record = decode(message.value())
        except UnreadableError as error:
            # Not ours to repair: a foreign record has no position, and is skipped.
            logger.warning("unreadable public record skipped: %s", error)
            continue
        highest = max(highest, PublishedPosition(record.command_offset, record.index))
    return highest
