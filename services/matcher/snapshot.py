"""Encodes a matcher's state as chunks and a commit, and restores it from them.

Pure. Damaged, foreign or incomplete snapshots are refused: the commit carries a checksum over the
chunks and itself, and the restored engine must have the digest of the saved one.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from msgspec import Struct, structs

from schemas.codec import UnreadableError, decode_snapshot, encode
from schemas.snapshots import (
    SNAPSHOT_VERSION,
    SNAPSHOT_VERSION_CHANGES,
    SNAPSHOT_VERSION_CONTROLS,
    SNAPSHOT_VERSION_QUOTAS,
    SNAPSHOT_VERSIONS,
    Published,
    SnapshotChunk,
    SnapshotCommit,
)
from services.matcher.engine import Engine
from services.matcher.rules import RULES, Rules
from services.matcher.state import EngineState

T = TypeVar("T")

# The longest row takes 300 bytes, so a chunk stays below 512 KiB.
CHUNK_ROWS_MAX = 1_000
# The parts of a state that are lists of rows and nothing else, in the order of their chunks.
_PARTS = (
    "instruments",
    "terms",
    "amended",
    "stops",
    "icebergs",
    "preventions",
    "day_orders",
)


class UnusableSnapshotError(Exception):
    """The snapshot cannot be used; the text gives the reason. Recovery tries the one before."""


class SnapshotPosition(Struct, frozen=True):
    """Position of a snapshot in the topics: see `SnapshotCommit`."""

    log: str
    epoch: int
    next_command: int
    next_record: int
    published: Published | None = None


class SnapshotImage(Struct, frozen=True):
    """A snapshot before it is written. It is immutable, so another thread may write it."""

    state: EngineState
    at: SnapshotPosition

    def chunks(self) -> Iterator[bytes]:
        """Encode the state as records, one by one."""
        place = (self.at.epoch, self.at.next_command)
        index = 0
        for books in _parts(self.state.books):
            yield encode(SnapshotChunk(*place, index, books=books))
            index += 1
        for orders in _parts(self.state.orders):
            yield encode(SnapshotChunk(*place, index, orders=orders))
            index += 1
        for blocks in _blocks(self.state.client_ids, lambda block: len(block.rows)):
            yield encode(SnapshotChunk(*place, index, client_ids=blocks))
            index += 1
        if self.state.quotas is not None:
            yield encode(SnapshotChunk(*place, index, quotas=self.state.quotas))
            index += 1
        for openers in _parts(self.state.openers):
            yield encode(SnapshotChunk(*place, index, openers=openers))
            index += 1
        for ids in _blocks(self.state.order_ids, lambda block: len(block.ids)):
            yield encode(SnapshotChunk(*place, index, order_ids=ids))
            index += 1
        for name in _PARTS:
            for rows in _parts(getattr(self.state, name)):
                part: dict[str, Any] = {name: rows}
                yield encode(SnapshotChunk(*place, index, **part))
                index += 1


class SnapshotChecksum:
    """Number, size and SHA-256 of the chunks, for the commit."""

    def __init__(self) -> None:
        self.chunks = 0
        self.size = 0
        self._sha256 = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Add the next chunk, in order."""
        self.chunks += 1
        self.size += len(chunk)
        self._sha256.update(chunk)

    def commit(self, saved: SnapshotImage, first_chunk: int) -> SnapshotCommit:
        """The complete commit. `first_chunk`: an offset at or before all the chunks'."""
        state, at = saved.state, saved.at
        commit = SnapshotCommit(
            version=_version_of(state),
            log=at.log,
            partition=state.partition,
            epoch=at.epoch,
            next_command=at.next_command,
            next_record=at.next_record,
            clock=state.clock,
            first_chunk=first_chunk,
            chunks=self.chunks,
            sha256="",
            digest=state.digest().hex(),
            published=at.published,
        )
        return structs.replace(commit, sha256=self.checksum(commit))

    def checksum(self, commit: SnapshotCommit) -> str:
        """SHA-256 over the chunks, then over the commit without its checksum, in hex."""
        sha256 = self._sha256.copy()
        sha256.update(encode(structs.replace(commit, sha256="")))
        return sha256.hexdigest()


def save(engine: Engine, at: SnapshotPosition) -> SnapshotImage:
    """Capture the engine's present state."""
    return SnapshotImage(engine.snapshot(), at)


def restore(commit: SnapshotCommit, records: Iterable[bytes], rules: Rules = RULES) -> Engine:
    """Restore the engine from the records between `first_chunk` and the commit.

    Raises UnusableSnapshotError.
    """
    if commit.version not in SNAPSHOT_VERSIONS:
        raise UnusableSnapshotError(
            f"version {commit.version}, this program reads only versions "
            f"{SNAPSHOT_VERSION} to {SNAPSHOT_VERSIONS[-1]}"
        )
    seal, chunks = _own_chunks(commit, records)
    if [chunk.index for chunk in chunks] != list(range(commit.chunks)):
        raise UnusableSnapshotError(f"only {len(chunks)} of {commit.chunks} chunks exist")
    if seal.checksum(commit) != commit.sha256:
        raise UnusableSnapshotError("the checksum does not match")
    state = EngineState(
        commit.partition,
        commit.clock,
        tuple(row for chunk in chunks for row in chunk.books),
        tuple(row for chunk in chunks for row in chunk.orders),
        tuple(block for chunk in chunks for block in chunk.client_ids),
        next((chunk.quotas for chunk in chunks if chunk.quotas is not None), None),
        tuple(row for chunk in chunks for row in chunk.openers),
        tuple(block for chunk in chunks for block in chunk.order_ids),
        instruments=tuple(row for chunk in chunks for row in chunk.instruments),
        terms=tuple(row for chunk in chunks for row in chunk.terms),
        amended=tuple(row for chunk in chunks for row in chunk.amended),
        stops=tuple(row for chunk in chunks for row in chunk.stops),
        icebergs=tuple(row for chunk in chunks for row in chunk.icebergs),
        preventions=tuple(row for chunk in chunks for row in chunk.preventions),
        day_orders=tuple(row for chunk in chunks for row in chunk.day_orders),
    )
    engine = Engine.restore(state, rules)
    if engine.digest().hex() != commit.digest:
        raise UnusableSnapshotError("the digest of the restored engine does not match")
    return engine


def _version_of(state: EngineState) -> int:
    if state.has_controls:
        return SNAPSHOT_VERSION_CONTROLS
    if state.has_changes:
        return SNAPSHOT_VERSION_CHANGES
    return SNAPSHOT_VERSION if state.quotas is None else SNAPSHOT_VERSION_QUOTAS


def _own_chunks(
    commit: SnapshotCommit, records: Iterable[bytes]
) -> tuple[SnapshotChecksum, list[SnapshotChunk]]:
    """Chunks of this snapshot. Other snapshots, even abandoned ones, may lie between them."""
    seal = SnapshotChecksum()
    chunks: list[SnapshotChunk] = []
    for value in records:
        try:
            chunk = decode_snapshot(value)
        except UnreadableError:
            continue
        if not isinstance(chunk, SnapshotChunk):
            continue
        if (chunk.epoch, chunk.next_command) == (commit.epoch, commit.next_command):
            seal.add(value)
            chunks.append(chunk)
    return seal, chunks


def _parts(rows: Iterable[T]) -> Iterator[tuple[T, ...]]:
    left = iter(rows)
    while part := tuple(islice(left, CHUNK_ROWS_MAX)):
        yield part


def _blocks(blocks: Iterable[T], size: Callable[[T], int]) -> Iterator[tuple[T, ...]]:
    """Groups of whole blocks, each of at most the rows of a chunk or of one larger block."""
    part: list[T] = []
    rows = 0
    for block in blocks:
        if part and rows + size(block) > CHUNK_ROWS_MAX:
            yield tuple(part)
            part, rows = [], 0
        part.append(block)
        rows += size(block)
    if part:
        yield tuple(part)
