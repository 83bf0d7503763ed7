"""Real matchers on a real Kafka start from the newest valid snapshot or an earlier position."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from msgspec import structs

from conformance.api import eventually
from schemas.codec import encode
from schemas.snapshots import SNAPSHOT_VERSIONS, SnapshotChunk, SnapshotCommit
from schemas.topics import COMMANDS, SNAPSHOTS
from services.matcher.engine import Engine, EnginePosition
from services.matcher.snapshot import SnapshotChecksum, SnapshotPosition, save
from services.replay.recompute import command_of
from services.runtime.errors import BrokenLogError, SupersededError, UnavailableError
from tests.integration.matcher_market import EVERY, WAIT_S, Market, running_market
from tests.support.exchange import Exchange
from tests.support.snapshots import with_checksum


@pytest.fixture
def market(exchange: Exchange, tmp_path: Path) -> Iterator[Market]:
    """A running market."""
    with running_market(exchange, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def stopped(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Market, int, SnapshotCommit]]:
    """A stopped market with two snapshots, the newer commit's offset, and that commit."""
    with running_market(exchange, tmp_path_factory.mktemp("stopped")) as market:
        for number in (1, 2):
            market.send(EVERY)
            market.wait_for_commits(number)
        market.stack.stop("matcher")
        yield market, *market.commits()[-1]


def test_killed_matcher_starts_from_its_snapshot_and_the_audit_passes(market: Market) -> None:
    for number in (1, 2):
        market.send(EVERY + 20)
        market.wait_for_commits(number)
        market.stack.services["matcher"].kill()
        market.send(15)
        market.stack.start("matcher")
        market.stack.wait_ready("matcher")
        newest = market.commits()[-1][1]
        assert f'"next_command":{newest.next_command}' in market.matcher_log()
        assert market.matcher_log().count("snapshot loaded") == number
    market.require_proved()


def test_snapshot_equals_the_engine_of_the_log(
    stopped: tuple[Market, int, SnapshotCommit],
) -> None:
    market, _, _ = stopped
    engine = Engine(0)
    recovered = market.recover()
    for record in islice(market.records(COMMANDS), recovered.position.next_command):
        at = EnginePosition(0, record.offset, record.timestamp)
        engine.apply(command_of(record.value), at)
    assert recovered.position.next_command >= 2 * EVERY
    assert recovered.engine.digest() == engine.digest()


SPOILT: dict[str, Callable[[SnapshotCommit], SnapshotCommit | bytes]] = {
    "checksum": lambda commit: structs.replace(commit, clock=commit.clock + 1),
    "partition": lambda commit: structs.replace(commit, partition=1),
    "log": lambda commit: structs.replace(commit, log="another"),
    "version": lambda commit: structs.replace(commit, version=SNAPSHOT_VERSIONS[-1] + 1),
    "chunks missing": lambda commit: structs.replace(commit, chunks=commit.chunks + 1),
    "chunks out of reach": lambda commit: structs.replace(commit, first_chunk=10**9),
    "later than the log": lambda commit: structs.replace(commit, next_command=10**9),
    "executions not there": lambda commit: structs.replace(commit, next_record=10**9),
    "no commit": lambda commit: encode(commit)[:-1],
    "chunk only": lambda commit: encode(SnapshotChunk(commit.epoch, commit.next_command, 0)),
}


@pytest.mark.parametrize("what", SPOILT)
def test_invalid_snapshot_is_skipped_for_the_one_before(
    stopped: tuple[Market, int, SnapshotCommit], what: str
) -> None:
    market, good, commit = stopped
    market.append_commit(SPOILT[what](commit))
    recovered = market.recover()
    assert recovered.commit == good
    assert recovered.engine.digest().hex() == commit.digest


def foreign(market: Market, commit: SnapshotCommit, what: str) -> bytes:
    """A complete snapshot with a correct checksum that belongs to another matcher or version."""
    number = 1 if what == "partition" else 0
    log = "another" if what == "log" else commit.log
    place = SnapshotPosition(log, commit.epoch, commit.next_command, commit.next_record)
    # The snapshot of an engine without any commands has no chunks.
    whole = SnapshotChecksum().commit(save(Engine(number), place), market.end(SNAPSHOTS))
    if what == "version":
        later = structs.replace(whole, version=SNAPSHOT_VERSIONS[-1] + 1)
        whole = with_checksum(later, ())
    return encode(whole)


@pytest.mark.parametrize("what", ["partition", "log", "version"])
def test_valid_snapshot_of_another_matcher_or_version_is_skipped(
    stopped: tuple[Market, int, SnapshotCommit], what: str
) -> None:
    market, good, commit = stopped
    market.append_commit(foreign(market, commit, what))
    assert market.recover().commit == good


@pytest.mark.parametrize("byte", [b"0", b'"', b"[", b",", b":", b"a"])
def test_snapshot_with_a_damaged_chunk_is_skipped(
    stopped: tuple[Market, int, SnapshotCommit], byte: bytes
) -> None:
    """Append a copy of the newest snapshot in which the last byte of one kind is damaged."""
    market, good, commit = stopped
    chunks = [it.value or b"" for it in market.records(SNAPSHOTS)][commit.first_chunk : good]
    first = market.end(SNAPSHOTS)
    for chunk in chunks:
        before, found, after = chunk.rpartition(byte)
        damaged = bytes([byte[0] ^ 1]) if found else b""
        market.append_commit(before + damaged + after)
    market.append_commit(with_checksum(structs.replace(commit, first_chunk=first), chunks))
    assert market.recover().commit == good
    assert market.recover().engine.digest().hex() == commit.digest


def test_snapshot_without_its_first_chunks_is_skipped(market: Market) -> None:
    market.send(EVERY)
    market.wait_for_commits(1)
    record, commit = market.commits()[0]
    assert market.recover().commit == record
    market.trim(SNAPSHOTS, commit.first_chunk + 1)
    assert market.recover().commit is None
    assert market.recover().position.next_command == 0


def test_valid_snapshot_of_this_log_is_used_whichever_matcher_wrote_it(market: Market) -> None:
    market.send(EVERY)
    market.wait_for_commits(1)
    _, commit = market.commits()[0]
    own = market.append_commit(foreign(market, commit, "nothing"))
    assert market.recover().commit == own


def test_invalid_snapshots_only_lead_to_the_whole_log(market: Market) -> None:
    market.send(10)
    market.append_commit(b"{")
    assert market.recover().commit is None
    assert market.recover().position.next_command == 0


def test_trimmed_command_log_needs_a_snapshot_that_covers_the_gap(
    market: Market, tmp_path: Path
) -> None:
    market.send(EVERY + 10)
    market.wait_for_commits(1)
    _, commit = market.commits()[0]
    market.trim(COMMANDS, commit.next_command)
    market.stack.services["matcher"].kill()
    market.send(5)
    market.stack.start("matcher")
    market.stack.wait_ready("matcher")
    market.trim(COMMANDS, commit.next_command + 1)
    with pytest.raises(BrokenLogError, match="no good snapshot reaches it"):
        market.recover()
    market.stack.services["matcher"].kill()
    market.stack.start("matcher")
    matcher = market.stack.services["matcher"]
    standby = market.second_matcher(tmp_path / "standby.log", "--standby")
    standby.start()
    for process in (matcher, standby):
        assert process.wait(WAIT_S)
        assert process.exit_code == BrokenLogError.exit_code
        assert "no good snapshot reaches it" in process.log_file.read_text()
    with pytest.raises(UnavailableError, match=r"beginning of exchange\.commands\.v1/0 is gone"):
        market.require_proved()


def test_second_matcher_takes_over_and_a_resumed_first_one_changes_nothing(
    market: Market, tmp_path: Path
) -> None:
    market.send(EVERY)
    # All records are then acknowledged: a resumed producer would send anything still queued.
    market.wait_for_commits(1)
    first = market.stack.services["matcher"]
    first.pause()
    second = market.second_matcher(tmp_path / "second.log", snapshot_every=50)
    second.start()
    try:
        eventually("taken over", lambda: '"replayed"' in second.log_file.read_text())
        market.send(60)
        market.wait_for_commits(2)
        first.resume()
        market.send(60)
        assert first.wait(WAIT_S)
        assert first.exit_code == SupersededError.exit_code
        market.require_proved()
    finally:
        assert second.stop() == 0
    assert market.recover().commit == market.commits()[-1][0]
