"""`exchange replay` started from a matcher's snapshots, and compared with them."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from schemas.topics import COMMANDS
from services.replay.recompute import ReplaySummary
from services.replay.run import ReplayRequest, run_replay
from services.runtime.errors import UnavailableError
from services.runtime.progress import Progress
from tests.integration.matcher_market import EVERY, Market, running_market
from tests.support.exchange import Exchange


@pytest.fixture(scope="module")
def market(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A stopped market with two snapshots and some commands after them."""
    with running_market(exchange, tmp_path_factory.mktemp("replayed")) as running:
        for number in (1, 2):
            running.send(EVERY)
            running.wait_for_commits(number)
        running.send(30)
        running.require_proved()
        running.stack.stop("matcher")
        yield running


def replayed(market: Market, **options: bool) -> ReplaySummary:
    done = run_replay(market.settings, ReplayRequest(0, verify=True, **options), Progress())
    return done.summary(verified=True)


def test_replay_from_a_snapshot_equals_one_from_the_start(market: Market) -> None:
    whole, tail = replayed(market), replayed(market, from_snapshot=True)
    newest = market.commits()[-1][1].next_command
    assert (whole.begun_at, whole.snapshots) == (0, len(market.commits()))
    assert (tail.begun_at, tail.compared) == (newest, whole.next_offset - newest)
    assert tail.digest == whole.digest
    assert (whole.differences, tail.differences) == (0, 0)
    assert (whole.not_recorded, tail.not_recorded) == (0, 0)


def test_replay_reports_a_snapshot_of_another_engine(market: Market) -> None:
    commit = market.commits()[0][1]
    market.append_commit(structs.replace(commit, digest="00"))
    found = replayed(market)
    assert found.differences == 1
    assert found.samples[0].offset == commit.next_command


def test_replay_of_a_trimmed_log_needs_a_snapshot(market: Market) -> None:
    market.trim(COMMANDS, 1)
    with pytest.raises(UnavailableError, match=r"beginning of exchange\.commands\.v1 is gone"):
        replayed(market)
    assert replayed(market, from_snapshot=True).differences == 0
