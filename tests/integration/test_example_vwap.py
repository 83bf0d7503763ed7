"""`examples.live_vwap` on a real broker: repeats, gaps, restarts, kills and Ctrl-C."""

import itertools
import os
import pty
import random
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest

from conformance.api import eventually
from examples.live_vwap import State
from schemas.codec import encode
from schemas.trades import Trade
from tests.support.examples import SyntheticTopic, example, running_example
from tests.support.servers import KafkaServer

MINUTE_MS = 60_000
START_MS = 1_795_000_000_000 // MINUTE_MS * MINUTE_MS
OF_PARTITION = {0: ("AAA", "BBB"), 1: ("CCC",)}


def trade(
    symbol: str, sequence: int, at_s: float = 0, price: int = 100, quantity: int = 1
) -> Trade:
    time_ms = START_MS + int(at_s * 1000)
    return Trade(symbol, sequence, f"{symbol}-{sequence}", time_ms, price, quantity, "bid", 0, 0)


def random_market(rng: random.Random) -> dict[int, list[Trade]]:
    """Several minutes of trades by partition, in order."""
    trades: dict[int, list[Trade]] = {}
    for partition, symbols in OF_PARTITION.items():
        counts: dict[str, int] = defaultdict(int)
        seconds = sorted(rng.uniform(0, 300) for _ in range(300))
        trades[partition] = []
        for at_s in seconds:
            symbol = rng.choice(symbols)
            counts[symbol] += 1
            price, quantity = rng.randint(900, 1100), rng.randint(1, 50)
            trades[partition].append(trade(symbol, counts[symbol], at_s, price, quantity))
    return trades


def with_repeats(trades: list[Trade], rng: random.Random) -> list[Trade]:
    """Repeat the last few trades at random, as a matcher does that lost its claim."""
    repeated: list[Trade] = []
    for number, each in enumerate(trades):
        repeated.append(each)
        if rng.random() < 0.1:
            repeated += trades[max(0, number - 5) : number + 1]
    return repeated


def candles_of(trades: Iterable[Trade]) -> dict[tuple[str, int], list[int]]:
    """Expected candles by symbol and minute: open, high, low, close, volume, value, trades."""
    minutes: dict[tuple[str, int], list[Trade]] = defaultdict(list)
    for each in trades:
        minutes[each.symbol, each.time // MINUTE_MS * MINUTE_MS].append(each)
    return {
        where: [
            found[0].price,
            max(each.price for each in found),
            min(each.price for each in found),
            found[-1].price,
            sum(each.quantity for each in found),
            sum(each.price * each.quantity for each in found),
            len(found),
        ]
        for where, found in minutes.items()
    }


@pytest.fixture
def topic(kafka: KafkaServer) -> SyntheticTopic:
    return SyntheticTopic(kafka.bootstrap_servers, "made-up-trades", partitions=2)


class Analyst:
    """Runs the program with a separate data directory."""

    def __init__(self, topic: SyntheticTopic, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.state_file = data_dir / "live_vwap.json"
        self.options = ("--kafka", topic.bootstrap, "--topic", topic.name)

    def once(self, *more: object, **environ: str) -> subprocess.CompletedProcess[str]:
        options = (*self.options, "--from-beginning", "--once", *more)
        return example("live_vwap", *options, data_dir=self.data_dir, **environ)

    def counted(self, *more: object) -> str:
        done = self.once(*more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state(self, path: Path | None = None) -> State:
        return msgspec.json.decode((path or self.state_file).read_bytes(), type=State)


@pytest.fixture
def analyst(topic: SyntheticTopic, tmp_path: Path) -> Analyst:
    return Analyst(topic, tmp_path)


def rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of all parts in a folder, in the order of the parts."""
    parts = sorted(folder.glob("*.parquet"))
    return [row for part in parts for row in pyarrow.parquet.read_table(part).to_pylist()]


def sums(state: State) -> dict[str, tuple[int, int, int]]:
    return {
        symbol: (tape.whole.volume, tape.whole.value, tape.whole.trades)
        for symbol, tape in state.tapes.items()
    }


def sums_of(trades: Iterable[Trade]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for each in trades:
        volume, value, count = found[each.symbol]
        found[each.symbol] = volume + each.quantity, value + each.price * each.quantity, count + 1
    return dict(found)


def test_vwap_of_a_topic_with_repeats_counts_each_trade_once(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    market = random_market(rng)
    for partition, trades in market.items():
        topic.publish(with_repeats(trades, rng), partition)
    printed = analyst.counted("--parquet", analyst.data_dir)

    state = analyst.state(analyst.data_dir / "state.json")
    unique = [each for trades in market.values() for each in trades]
    assert sums(state) == sums_of(unique), f"seed {seed}"
    assert sum(tape.repeated for tape in state.tapes.values()) > 0
    assert sum(tape.missing for tape in state.tapes.values()) == 0
    stored = rows(analyst.data_dir / "trades")
    assert {(row["symbol"], row["sequence"]) for row in stored} == {
        (each.symbol, each.sequence) for each in unique
    }
    assert len(stored) == len(unique)

    last = {p: trades[-1].time // MINUTE_MS * MINUTE_MS for p, trades in market.items()}
    closed = {
        where: candle
        for partition, trades in market.items()
        for where, candle in candles_of(trades).items()
        if where[1] < last[partition]
    }
    written = {
        (row["symbol"], int(row["start"].timestamp() * 1000)): [
            row[name] for name in ("open", "high", "low", "close", "volume", "value", "trades")
        ]
        for row in rows(analyst.data_dir / "candles")
    }
    assert written == closed, f"seed {seed}"
    lines = printed.splitlines()
    assert len([line for line in lines if " vwap " in line]) == len(closed)
    volume, value, count = sums_of(unique)["CCC"]
    (line,) = (line for line in lines if line.startswith("CCC "))
    assert f"{value / volume / 100:.4f}" in line
    assert line.split()[4] == str(count)


def test_vwap_restarted_repeatedly_counts_as_an_uninterrupted_run(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    rng = random.Random(5)
    market = random_market(rng)
    cuts = (0, 80, 81, 200, 300)
    for begin, end in itertools.pairwise(cuts):
        for partition, trades in market.items():
            topic.publish(with_repeats(trades[max(0, begin - 3) : end], rng), partition)
        analyst.counted("--parquet", analyst.data_dir)
    unique = [each for trades in market.values() for each in trades]
    assert sums(analyst.state(analyst.data_dir / "state.json")) == sums_of(unique)
    assert len(list((analyst.data_dir / "trades").glob("*.parquet"))) == len(cuts) - 1
    assert len(rows(analyst.data_dir / "trades")) == len(unique)


def test_vwap_killed_between_part_and_state_writes_each_trade_once(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    folder, trades = analyst.data_dir, random_market(random.Random(6))[0]
    topic.publish(trades[:100])
    analyst.counted("--parquet", folder)
    before = (folder / "state.json").read_bytes()
    topic.publish(trades[100:200])
    analyst.counted("--parquet", folder)
    # The state after a kill between the write of the part and the write of the state.
    (folder / "state.json").write_bytes(before)
    topic.publish(trades[200:])
    analyst.counted("--parquet", folder)
    stored = [(row["symbol"], row["sequence"]) for row in rows(folder / "trades")]
    assert stored == [(each.symbol, each.sequence) for each in trades]
    assert sums(analyst.state(folder / "state.json")) == sums_of(trades)


def test_vwap_removes_a_part_absent_from_its_state(topic: SyntheticTopic, analyst: Analyst) -> None:
    folder = analyst.data_dir
    topic.publish([trade("AAA", 1), trade("AAA", 2, at_s=61)])
    analyst.counted("--parquet", folder)
    (candles,) = (folder / "candles").glob("*.parquet")
    # A killed run may have written these files and more than the next run will write.
    shutil.copy(candles, folder / "candles" / "part-000001.parquet")
    (folder / "trades" / "part-000001.new").write_bytes(b"half a file")
    analyst.counted("--parquet", folder)
    assert [row["trades"] for row in rows(folder / "candles")] == [1]
    assert {path.name for path in (folder / "trades").iterdir()} == {"part-000000.parquet"}


def test_vwap_killed_while_live_continues_from_its_saved_state(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    trades = random_market(random.Random(7))[0]
    topic.publish(trades[:150])
    options = (*analyst.options, "--from-beginning")
    with running_example("live_vwap", *options, data_dir=analyst.data_dir) as process:
        eventually("a state is saved", analyst.state_file.exists)
        topic.publish(trades[150:])
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    analyst.counted()
    assert sums(analyst.state()) == sums_of(trades)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_vwap_keeps_its_counts(
    topic: SyntheticTopic, analyst: Analyst, number: signal.Signals
) -> None:
    topic.publish([trade("AAA", 1), trade("AAA", 2, at_s=61)])
    options = (*analyst.options, "--from-beginning")
    with running_example("live_vwap", *options, data_dir=analyst.data_dir) as process:
        assert process.stdout is not None
        assert " AAA open 1.00 " in process.stdout.readline()
        process.send_signal(number)
        printed, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "AAA" in printed
    assert analyst.state().tapes["AAA"].whole.trades == 2


def test_vwap_without_a_state_begins_with_the_next_trade(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    topic.publish([trade("AAA", 1), trade("AAA", 2)])
    plain = (*analyst.options, "--once")
    assert example("live_vwap", *plain, data_dir=analyst.data_dir).returncode == 0
    topic.publish([trade("AAA", 3, price=700)])
    done = example("live_vwap", *plain, data_dir=analyst.data_dir)
    assert done.returncode == 0, done.stderr
    (tape,) = analyst.state().tapes.values()
    assert (tape.whole.trades, tape.whole.value, tape.missing) == (1, 700, 0)


def test_vwap_of_a_topic_with_a_gap_reports_the_missing_trades(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    topic.publish([trade("AAA", 1), trade("AAA", 2), trade("AAA", 5), trade("AAA", 4)])
    done = analyst.once()
    assert "AAA: trades 3 to 4 are missing" in done.stderr
    tape = analyst.state().tapes["AAA"]
    assert (tape.whole.trades, tape.missing, tape.repeated) == (3, 2, 1)


def test_vwap_started_after_retention_reports_the_missing_trades(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    topic.publish([trade("AAA", 1)])
    analyst.counted()
    topic.publish([trade("AAA", number) for number in range(2, 10)])
    topic.delete_before(6)
    done = analyst.once()
    assert "AAA: trades 2 to 6 are missing" in done.stderr
    assert analyst.state().tapes["AAA"].whole.trades == 4


def test_vwap_reports_unknown_records_and_continues(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    later = encode(trade("AAA", 1)).replace(b"{", b'{"venue":"B","liquidity":[1],', 1)
    topic.append("AAA", later)
    topic.append("AAA", b'{"symbol":"AAA","sequence":"two"}')
    topic.publish([trade("AAA", 2)])
    done = analyst.once()
    assert done.returncode == 0
    assert "the record 0@1 is no trade" in done.stderr
    assert analyst.state().tapes["AAA"].whole.trades == 2


def test_vwap_of_chosen_symbols_counts_those_and_refuses_a_changed_choice(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    topic.publish([trade("AAA", 1), trade("BBB", 1)])
    topic.publish([trade("CCC", 1)], partition=1)
    analyst.counted("--symbols", "CCC,AAA")
    assert analyst.state().tapes.keys() == {"AAA", "CCC"}
    other = analyst.once("--symbols", "BBB")
    assert other.returncode == 1
    assert "name another with --state" in other.stderr
    assert len(other.stderr.splitlines()) == 1
    analyst.counted("--symbols", "BBB", "--state", analyst.data_dir / "b.json")


def test_vwap_without_pyarrow_fails_with_the_install_command(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    (analyst.data_dir / "pyarrow.py").write_text("raise ImportError('not here')")
    without = {"PYTHONPATH": str(analyst.data_dir)}
    refused = analyst.once("--parquet", analyst.data_dir / "out", **without)
    assert refused.returncode == 1
    assert refused.stderr == "live_vwap: --parquet needs pyarrow: pip install pyarrow\n"
    assert analyst.once(**without).returncode == 0


def test_vwap_that_cannot_begin_fails_with_one_line(
    topic: SyntheticTopic, analyst: Analyst, tmp_path: Path
) -> None:
    unknown = analyst.once("--topic", "nobodys")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)
    assert "topic nobodys" in unknown.stderr
    analyst.state_file.write_text("{}")
    broken = analyst.once()
    assert (broken.returncode, len(broken.stderr.splitlines())) == (1, 1)
    assert "is no state of this program" in broken.stderr
    away = analyst.once("--kafka", "127.0.0.1:1")
    assert away.returncode == 1
    assert away.stderr.splitlines()[-1].startswith("live_vwap: Kafka at 127.0.0.1:1: ")
    assert "Traceback" not in away.stderr
    nowhere = example("live_vwap", data_dir=tmp_path)
    assert nowhere.returncode == 2
    assert "--kafka" in nowhere.stderr


def test_vwap_on_a_terminal_draws_a_table_under_the_candles(
    topic: SyntheticTopic, analyst: Analyst
) -> None:
    topic.publish([trade("AAA", 1), trade("AAA", 2, at_s=61)])
    terminal, program_end = pty.openpty()
    options = (*analyst.options, "--from-beginning")
    with running_example(
        "live_vwap", *options, data_dir=analyst.data_dir, stdout=program_end
    ) as process:
        os.close(program_end)
        seen = ""
        # An empty table may come first. The table below the candle is drawn, erased and drawn
        # again.
        while not re.search(r" AAA open 1\.00 .*SYMBOL.*\x1b\[J.*SYMBOL", seen, re.DOTALL):
            seen += os.read(terminal, 4096).decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    os.close(terminal)
    before = seen.partition(" AAA open 1.00 ")[0]
    assert before.count("SYMBOL") == before.count("\x1b[J")


def test_vwap_copied_elsewhere_runs_without_the_project(
    topic: SyntheticTopic, analyst: Analyst, tmp_path: Path
) -> None:
    topic.publish([trade("AAA", 1)])
    shutil.copytree(Path(__file__).parents[2] / "examples", tmp_path / "away" / "examples")
    done = analyst.once(PYTHONSAFEPATH="1", PYTHONPATH=str(tmp_path / "away"))
    assert done.returncode == 0, done.stderr
    assert analyst.state().tapes["AAA"].whole.trades == 1
