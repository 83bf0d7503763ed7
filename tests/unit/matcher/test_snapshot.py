"""Snapshots: an engine is restored exactly, and any damaged data is refused."""

import random

import pytest
from msgspec import structs

from schemas.codec import UnreadableError, decode_snapshot, encode
from schemas.instruments import InstrumentRules
from schemas.quotas import Quotas
from schemas.snapshots import (
    SNAPSHOT_VERSION,
    SNAPSHOT_VERSION_CHANGES,
    SNAPSHOT_VERSION_CONTROLS,
    SNAPSHOT_VERSION_QUOTAS,
    SNAPSHOT_VERSIONS,
    InstrumentRow,
    SnapshotChunk,
    SnapshotCommit,
)
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates
from services.matcher.snapshot import (
    CHUNK_ROWS_MAX,
    SnapshotChecksum,
    SnapshotImage,
    SnapshotPosition,
    UnusableSnapshotError,
    restore,
    save,
)
from tests.properties.flows import flow, random_rules, random_shape
from tests.support.orders import limit

PARTITION = 3
COMMANDS = 400
# Each bit by itself: digits become others or none at all, brackets letters, text no UTF-8.
MASKS = tuple(1 << bit for bit in range(8))


def written(engine: Engine, next_command: int = 7) -> tuple[list[bytes], SnapshotCommit]:
    return sealed(save(engine, SnapshotPosition("the log", 2, next_command, 9)))


def sealed(saved: SnapshotImage) -> tuple[list[bytes], SnapshotCommit]:
    chunks, seal = list(saved.chunks()), SnapshotChecksum()
    for chunk in chunks:
        seal.add(chunk)
    return chunks, seal.commit(saved, 4)


def small_engine() -> Engine:
    engine = Engine(PARTITION)
    for number, side in enumerate(("bid", "ask", "bid")):
        order = limit(
            number,
            side=side,
            price=100 if side == "bid" else 101,
            valid_until=5_000,
            client_order_id=f"c{number}",
        )
        engine.apply(order, EnginePosition(PARTITION, number, 1_000))
    return engine


def small() -> tuple[list[bytes], SnapshotCommit]:
    return written(small_engine())


@pytest.mark.parametrize("seed", range(30))
def test_engine_restored_anywhere_in_a_flow_continues_identically(seed: int) -> None:
    cut = random.Random(seed).randrange(1, COMMANDS)
    rng = random.Random(f"flow {seed}")
    shape, rules = random_shape(rng), random_rules(rng)
    steps = list(flow(rng, shape, COMMANDS))
    engine = Engine(PARTITION, rules)
    for step in steps[:cut]:
        engine.apply(step.command, EnginePosition(PARTITION, step.offset, step.timestamp))
    chunks, commit = written(engine, cut)
    twin = restore(commit, chunks, rules)
    assert twin.digest() == engine.digest()
    assert twin.next_due() == engine.next_due()
    for step in steps[cut:]:
        at = EnginePosition(PARTITION, step.offset, step.timestamp)
        mine, its = engine.apply(step.command, at), twin.apply(step.command, at)
        assert encode(its) == encode(mine), f"seed {seed}, cut {cut}, {step}"
        assert book_updates(its, at, twin) == book_updates(mine, at, engine)
    assert twin.digest() == engine.digest()


def test_snapshot_of_the_same_state_is_the_same_bytes() -> None:
    assert small() == small()


def test_snapshot_of_many_orders_takes_several_chunks_in_order() -> None:
    engine = Engine(PARTITION)
    for number in range(2 * CHUNK_ROWS_MAX + 1):
        engine.apply(limit(number), EnginePosition(PARTITION, number, 1_000))
    chunks, commit = written(engine)
    assert commit.chunks == len(chunks) == 4
    assert restore(commit, chunks).digest() == engine.digest()
    with pytest.raises(UnusableSnapshotError, match="chunks"):
        restore(commit, [chunks[0], chunks[2], chunks[1], chunks[3]])


def test_snapshot_of_a_new_engine_has_no_chunk() -> None:
    chunks, commit = written(Engine(PARTITION), 0)
    assert chunks == []
    assert restore(commit, ()).digest() == Engine(PARTITION).digest()


def test_commit_with_any_byte_changed_is_refused() -> None:
    chunks, commit = small()
    value = encode(commit)
    for place in range(len(value)):
        for mask in MASKS:
            broken = bytearray(value)
            broken[place] ^= mask
            try:
                found = decode_snapshot(bytes(broken))
            except UnreadableError:
                continue
            if found == commit or isinstance(found, SnapshotChunk):
                continue
            with pytest.raises(UnusableSnapshotError):
                restore(found, chunks)


def test_chunk_with_any_byte_changed_is_refused() -> None:
    chunks, commit = small()
    for number, value in enumerate(chunks):
        for place in range(len(value)):
            for mask in MASKS:
                broken = bytearray(value)
                broken[place] ^= mask
                damaged = [*chunks]
                damaged[number] = bytes(broken)
                with pytest.raises(UnusableSnapshotError):
                    restore(commit, damaged)


def test_chunk_cut_short_anywhere_is_refused() -> None:
    chunks, commit = small()
    for number, value in enumerate(chunks):
        for length in range(len(value)):
            damaged = [*chunks]
            damaged[number] = value[:length]
            with pytest.raises(UnusableSnapshotError):
                restore(commit, damaged)


def test_commit_cut_short_anywhere_is_ignored() -> None:
    value = encode(small()[1])
    for length in range(len(value)):
        with pytest.raises(UnreadableError):
            decode_snapshot(value[:length])


def test_snapshot_without_its_last_chunk_is_refused() -> None:
    chunks, commit = small()
    with pytest.raises(UnusableSnapshotError, match="of 3 chunks"):
        restore(commit, chunks[:-1])


def version_of(**parts: object) -> int:
    state = structs.replace(small_engine().snapshot(), **parts)
    return sealed(SnapshotImage(state, SnapshotPosition("the log", 2, 7, 9)))[1].version


def test_snapshot_has_the_lowest_version_that_reads_its_parts() -> None:
    quotas = Quotas(1, 1, 1)
    open_market = InstrumentRow("A", InstrumentRules(), 50, "continuous")
    halted = structs.replace(open_market, phase="halted")
    assert version_of() == SNAPSHOT_VERSION
    assert version_of(quotas=quotas) == SNAPSHOT_VERSION_QUOTAS
    assert version_of(quotas=quotas, instruments=(open_market,)) == SNAPSHOT_VERSION_CHANGES
    assert version_of(instruments=(open_market, halted)) == SNAPSHOT_VERSION_CONTROLS


def test_snapshot_of_a_later_version_is_refused_before_its_chunks_are_read() -> None:
    chunks, commit = small()
    later = structs.replace(commit, version=SNAPSHOT_VERSIONS[-1] + 1)
    with pytest.raises(UnusableSnapshotError, match="version 5"):
        restore(later, chunks)


def test_chunks_of_other_snapshots_are_skipped() -> None:
    chunks, commit = small()
    other = encode(SnapshotChunk(commit.epoch, commit.next_command + 1, 0))
    stale = encode(SnapshotChunk(commit.epoch - 1, commit.next_command, 0))
    records = [b"rubbish", other, chunks[0], stale, encode(commit), *chunks[1:]]
    assert restore(commit, records).digest().hex() == commit.digest


def test_state_with_a_valid_hash_of_another_engine_is_refused() -> None:
    chunks, commit = small()
    seal = SnapshotChecksum()
    for chunk in chunks:
        seal.add(chunk)
    lying = structs.replace(commit, digest="00")
    forged = structs.replace(lying, sha256=seal.checksum(lying))
    with pytest.raises(UnusableSnapshotError, match="engine"):
        restore(forged, chunks)


def test_snapshot_of_many_client_ids_has_whole_blocks() -> None:
    engine = Engine(PARTITION)
    for number in range(2 * CHUNK_ROWS_MAX):
        order = limit(number, client_order_id=f"c{number}")
        # Every third command is none with an id: blocks are of commands, chunks of rows.
        engine.apply(order, EnginePosition(PARTITION, number * 3 // 2, 1_000))
    chunks, commit = written(engine)
    assert commit.chunks == len(chunks) == 1 + 2 + 3
    assert restore(commit, chunks).digest() == engine.digest()
