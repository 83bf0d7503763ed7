"""A matcher's state as chunks of bytes with a commit, and back, or a reason why not.

Pure. Nothing damaged, foreign or incomplete gets through: the commit carries a checksum over the
chunks and over itself, and the restored engine must have the digest of the one that was saved.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from msgspec import Struct, structs

from schemas.codec import UnreadableError, decode_snapshot, encode
from schemas.snapshots import (
    SNAPSHOT_VERSION,
    BookRow,
    ClientIdRow,
    OrderRow,
    SnapshotChunk,
    SnapshotCommit,
)
from services.matcher.engine import RULES, Engine, EngineState, Rules

T = TypeVar("T")

# The longest row takes 500 bytes, so a chunk stays under 512 KiB.
CHUNK_ROWS_MAX = 1_000


class UnusableSnapshotError(Exception):
    """The text says what is wrong; the next older state is the way out."""


class Saved(Struct, frozen=True):
    """A snapshot before it is written: chunks, and a commit that is not `sealed` yet."""

    chunks: tuple[bytes, ...]
    commit: SnapshotCommit


class Place(Struct, frozen=True):
    """Where a state stands: see `SnapshotCommit`."""

    log: str
    epoch: int
    next_command: int
    next_record: int


def save(engine: Engine, at: Place) -> Saved:
    """The engine as it is now. Where its chunks will lie is for `seal` to say."""
    state = engine.snapshot()
    chunks = tuple(encode(chunk) for chunk in _chunks(state, at.epoch, at.next_command))
    commit = SnapshotCommit(
        version=SNAPSHOT_VERSION,
        log=at.log,
        partition=engine.partition,
        epoch=at.epoch,
        next_command=at.next_command,
        next_record=at.next_record,
        clock=state.clock,
        first_chunk=0,
        chunks=len(chunks),
        sha256="",
        digest=engine.digest().hex(),
    )
    return Saved(chunks, commit)


def seal(saved: Saved, first_chunk: int) -> SnapshotCommit:
    """The commit, complete and with its checksum."""
    placed = structs.replace(saved.commit, first_chunk=first_chunk)
    return structs.replace(placed, sha256=_checksum(placed, saved.chunks))


def restore(commit: SnapshotCommit, records: Iterable[bytes], rules: Rules = RULES) -> Engine:
    """The engine, from the records between `first_chunk` and the commit.

    Raises UnusableSnapshotError.
    """
    if commit.version != SNAPSHOT_VERSION:
        raise UnusableSnapshotError(
            f"version {commit.version}, this program reads no other than {SNAPSHOT_VERSION}"
        )
    values, chunks = _own_chunks(commit, records)
    if [chunk.index for chunk in chunks] != list(range(commit.chunks)):
        raise UnusableSnapshotError(f"{len(chunks)} of {commit.chunks} chunks are there")
    if _checksum(commit, values) != commit.sha256:
        raise UnusableSnapshotError("the checksum is another")
    state = EngineState(
        commit.clock,
        tuple(row for chunk in chunks for row in chunk.books),
        tuple(row for chunk in chunks for row in chunk.orders),
        tuple(row for chunk in chunks for row in chunk.client_ids),
    )
    engine = Engine.restore(commit.partition, state, rules)
    if engine.digest().hex() != commit.digest:
        raise UnusableSnapshotError("the restored engine is another")
    return engine


def _own_chunks(
    commit: SnapshotCommit, records: Iterable[bytes]
) -> tuple[list[bytes], list[SnapshotChunk]]:
    """Another matcher, or an earlier snapshot that was given up, may have written between them."""
    values: list[bytes] = []
    chunks: list[SnapshotChunk] = []
    for value in records:
        try:
            chunk = decode_snapshot(value)
        except UnreadableError:
            continue
        if not isinstance(chunk, SnapshotChunk):
            continue
        if (chunk.epoch, chunk.next_command) == (commit.epoch, commit.next_command):
            values.append(value)
            chunks.append(chunk)
    return values, chunks


def _checksum(commit: SnapshotCommit, chunks: Sequence[bytes]) -> str:
    found = hashlib.sha256(encode(structs.replace(commit, sha256="")))
    for value in chunks:
        found.update(value)
    return found.hexdigest()


def _chunks(state: EngineState, epoch: int, next_command: int) -> Iterator[SnapshotChunk]:
    index = 0

    def chunk(
        books: tuple[BookRow, ...] = (),
        orders: tuple[OrderRow, ...] = (),
        client_ids: tuple[ClientIdRow, ...] = (),
    ) -> SnapshotChunk:
        nonlocal index
        index += 1
        return SnapshotChunk(epoch, next_command, index - 1, books, orders, client_ids)

    for books in _parts(state.books):
        yield chunk(books=books)
    for orders in _parts(state.orders):
        yield chunk(orders=orders)
    for client_ids in _parts(state.client_ids):
        yield chunk(client_ids=client_ids)


def _parts(rows: Iterable[T]) -> Iterator[tuple[T, ...]]:
    left = iter(rows)
    while part := tuple(islice(left, CHUNK_ROWS_MAX)):
        yield part
