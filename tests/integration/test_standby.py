"""A real standby beside a real matcher: it writes nothing until it takes over and continues.

`STANDBY_SEED` repeats the moments at which matchers are frozen.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.api import eventually
from infra.process import ChildProcess
from schemas.codec import decode_execution
from schemas.executions import LevelClaim, Outcomes
from schemas.topics import EXECUTIONS
from services.runtime.errors import SupersededError
from tests.integration.matcher_market import WAIT_S, Market, running_market
from tests.support.exchange import Exchange
from tests.support.sizes import sized

SEED = int(os.environ.get("STANDBY_SEED", random.SystemRandom().randrange(1 << 32)))
ROUNDS = sized(2, 6)


@pytest.fixture
def market(exchange: Exchange, tmp_path: Path) -> Iterator[Market]:
    with running_market(exchange, tmp_path) as running:
        yield running


@pytest.fixture
def standby(market: Market, tmp_path: Path) -> Iterator[ChildProcess]:
    """A standby that has followed all records so far."""
    process = market.second_matcher(tmp_path / "standby.log", "--standby")
    market.send(200)
    process.start()
    eventually("standing by", lambda: "standing by" in process.log_file.read_text())
    yield process
    assert process.stop() == 0


def outcomes(market: Market) -> int:
    """Number of commands with outcomes."""
    records = [decode_execution(record.value) for record in market.records(EXECUTIONS)]
    return sum(len(one.outcomes) for one in records if isinstance(one, Outcomes))


def claims(market: Market) -> int:
    records = [decode_execution(record.value) for record in market.records(EXECUTIONS)]
    return sum(isinstance(one, LevelClaim) for one in records)


def test_standby_writes_nothing_while_the_active_one_works(
    market: Market, standby: ChildProcess
) -> None:
    market.send(100)
    eventually("matched", lambda: outcomes(market) >= 300)
    assert claims(market) == 1
    assert standby.alive


def test_standby_takes_over_when_the_active_one_was_killed(
    market: Market, standby: ChildProcess
) -> None:
    market.stack.services["matcher"].kill()
    market.send(100)
    eventually("matched", lambda: outcomes(market) >= 300)
    assert "taking over: commands wait and no outcome arrives" in standby.log_file.read_text()
    market.send(50)
    market.require_proved()


def test_standby_takes_over_at_sigusr1_and_the_active_one_stops(
    market: Market, standby: ChildProcess
) -> None:
    os.kill(standby.pid, signal.SIGUSR1)
    matcher = market.stack.services["matcher"]
    assert matcher.wait(WAIT_S)
    assert matcher.exit_code == SupersededError.exit_code
    market.send(50)
    eventually("matched", lambda: outcomes(market) >= 250)
    market.require_proved()


def test_standby_replaces_a_frozen_active_one_which_changes_nothing_later(
    market: Market, standby: ChildProcess
) -> None:
    matcher = market.stack.services["matcher"]
    matcher.pause()
    market.send(100)
    eventually("taken over", lambda: claims(market) == 2)
    matcher.resume()
    assert matcher.wait(WAIT_S)
    assert matcher.exit_code == SupersededError.exit_code
    market.send(50)
    market.require_proved()


@contextmanager
def sending(market: Market) -> Iterator[None]:
    """Commands are sent in small groups for as long as the block lasts."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.002):
            market.send(20)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def freeze_while_sending(
    market: Market, active: ChildProcess, standby: ChildProcess, rng: random.Random
) -> None:
    """Freeze the active matcher, let the standby take over, and wake the other one again."""
    standby.start()
    eventually("standing by", lambda: "standing by" in standby.log_file.read_text())
    before = claims(market)
    with sending(market):
        # Into the middle of a batch, of a transaction, or between two.
        time.sleep(0.3 + rng.random() * 0.2)
        active.pause()
        eventually("taken over", lambda: claims(market) == before + 1)
        time.sleep(rng.random() * 0.5)
        active.resume()
        assert active.wait(WAIT_S)
    assert active.exit_code == SupersededError.exit_code


def test_matcher_frozen_while_it_sends_repeats_no_public_record(
    market: Market, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    active = market.stack.services["matcher"]
    try:
        for number in range(ROUNDS):
            standby = market.second_matcher(tmp_path / f"standby-{number}.log", "--standby")
            freeze_while_sending(market, active, standby, rng)
            active = standby
        market.require_proved()
    except AssertionError as error:
        raise AssertionError(f"STANDBY_SEED={SEED}: {error}") from error
    finally:
        active.stop()
