"""Real matchers on a real Kafka: they begin at their newest good snapshot, or further back."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from msgspec import structs

from schemas.codec import encode
from schemas.snapshots import SnapshotChunk, SnapshotCommit
from schemas.topics import COMMANDS
from services.cli.audit_recompute import command_of
from services.matcher.engine import Engine, Position
from services.runtime.errors import BrokenLogError, SupersededError
from tests.integration.matcher_market import EVERY, WAIT_S, Market, a_market
from tests.support.api import eventually
from tests.support.exchange import Exchange


@pytest.fixture
def market(exchange: Exchange, tmp_path: Path) -> Iterator[Market]:
    """A running one."""
    with a_market(exchange, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def stopped(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Market, int, SnapshotCommit]]:
    """A market with two snapshots whose matcher was stopped, and the newer with its record."""
    with a_market(exchange, tmp_path_factory.mktemp("stopped")) as market:
        for number in (1, 2):
            market.send(EVERY)
            market.wait_for_commits(number)
        market.stack.stop("matcher")
        yield market, *market.commits()[-1]


def test_killed_matcher_begins_at_its_snapshot_and_the_log_is_proved(market: Market) -> None:
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


def test_snapshot_is_the_engine_that_the_log_gives(
    stopped: tuple[Market, int, SnapshotCommit],
) -> None:
    market, _, _ = stopped
    engine = Engine(0)
    recovered = market.recover()
    for record in islice(market.records(COMMANDS), recovered.position.next_command):
        at = Position(0, record.offset, record.timestamp)
        engine.apply(command_of(record.value), at)
    assert recovered.position.next_command >= 2 * EVERY
    assert recovered.engine.digest() == engine.digest()


SPOILT: dict[str, Callable[[SnapshotCommit], SnapshotCommit | bytes]] = {
    "checksum": lambda commit: structs.replace(commit, clock=commit.clock + 1),
    "partition": lambda commit: structs.replace(commit, partition=1),
    "log": lambda commit: structs.replace(commit, log="another"),
    "version": lambda commit: structs.replace(commit, version=commit.version + 1),
    "chunks missing": lambda commit: structs.replace(commit, chunks=commit.chunks + 1),
    "chunks out of reach": lambda commit: structs.replace(commit, first_chunk=10**9),
    "later than the log": lambda commit: structs.replace(commit, next_command=10**9),
    "executions not there": lambda commit: structs.replace(commit, next_record=10**9),
    "no commit": lambda commit: encode(commit)[:-1],
    "chunk only": lambda commit: encode(SnapshotChunk(commit.epoch, commit.next_command, 0)),
}


@pytest.mark.parametrize("what", SPOILT)
def test_spoilt_snapshot_is_passed_over_for_the_one_before(
    stopped: tuple[Market, int, SnapshotCommit], what: str
) -> None:
    market, good, commit = stopped
    market.append_commit(SPOILT[what](commit))
    recovered = market.recover()
    assert recovered.commit == good
    assert recovered.engine.digest().hex() == commit.digest


def test_spoilt_snapshots_only_lead_to_the_whole_log(market: Market) -> None:
    market.send(10)
    market.append_commit(b"{")
    assert market.recover().commit is None
    assert market.recover().position.next_command == 0


def test_command_log_without_its_beginning_needs_a_snapshot_that_reaches_it(
    market: Market,
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
    assert matcher.wait(WAIT_S)
    assert matcher.exit_code == BrokenLogError.exit_code


def test_second_matcher_takes_over_and_a_frozen_first_one_changes_nothing(
    market: Market, tmp_path: Path
) -> None:
    market.send(EVERY)
    # Everything is acknowledged then: what waits in a producer is sent on waking, come what may.
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
