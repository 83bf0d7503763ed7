"""`examples.replay_book` and `examples.tail` on a real exchange; `--help` of every example."""

import json
import random
import signal
import threading
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message, Producer
from msgspec import structs

from examples.replay_book import rebuilt, replay
from schemas.partitions import default_partition
from schemas.topics import COMMANDS
from services.matcher.engine import Engine
from services.replay.recompute import ReplaySummary
from services.runtime.kafka.consumer import Partition
from tests.support.examples import ROOT, example, place_random_orders, running_example, trading
from tests.support.exchange import Exchange
from tests.support.operator import run_exchange_command

PROGRAMS = sorted(path.stem for path in (ROOT / "examples").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def symbol(exchange: Exchange) -> str:
    symbol = exchange.symbol()
    place_random_orders(exchange.broker("replayed"), symbol, 60, random.Random(8))
    return symbol


def level_of(line: str) -> tuple[str, int, int, int]:
    """Side, price, total and number of orders; the orders' quantities must add up to the total."""
    side, price, total, queue = line.split()
    orders = [int(quantity) for quantity in queue.split("+")]
    assert sum(orders) == int(total.replace(",", ""))
    return side, round(float(price) * 100), sum(orders), len(orders)


def test_replayed_book_equals_that_of_the_api_and_has_the_digest_of_exchange_replay(
    exchange: Exchange, symbol: str
) -> None:
    book = exchange.broker().get(f"/stocks/{symbol}/book").body
    done = example("replay_book", symbol, data_dir=exchange.stack.data_dir)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    partition = default_partition(symbol, exchange.partitions)
    assert lines[0].startswith(f"{symbol} on partition {partition} at ")
    assert lines[1].startswith(f"change {book['sequence']}, trade ")
    assert [level_of(line) for line in lines[2:]] == [
        (side, level["price"], level["total_quantity"], level["order_count"])
        for side in ("bid", "ask")
        for level in book[f"{side}s"]
    ]
    replayed = run_exchange_command(exchange, "replay", "--partition", str(partition), "--json")
    summary = msgspec.json.decode(replayed.stdout, type=ReplaySummary)
    assert f"digest {summary.digest}" in lines[1]


def test_replay_reports_unreadable_commands_and_a_symbol_without_orders(
    exchange: Exchange,
) -> None:
    delivered: list[Message] = []
    producer = Producer({"bootstrap.servers": exchange.bootstrap})
    producer.produce(COMMANDS.name, b"{", partition=0, on_delivery=lambda _, m: delivered.append(m))
    producer.flush(30)
    done = example("replay_book", "NEVER", data_dir=exchange.stack.data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    # Other tests may also have written invalid records.
    *refused, last = done.stderr.splitlines()
    assert last == "replay_book: the log knows no book of NEVER"
    lines = [(line["partition"], line["offset"]) for line in map(json.loads, refused)]
    assert (0, delivered[0].offset()) in lines


def test_replay_without_an_exchange_fails_with_the_missing_setting(tmp_path: Path) -> None:
    done = example("replay_book", "PETR4", data_dir=tmp_path)
    assert done.returncode == 2
    assert "EXCHANGE_KAFKA" in done.stderr


def test_interrupted_replay_prints_its_position(
    exchange: Exchange, symbol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stopping = threading.Event()
    settings = structs.replace(exchange.stack.settings, kafka=exchange.bootstrap)
    whole = rebuilt(settings, symbol, stopping)
    assert whole is not None
    capsys.readouterr()
    stopping.set()
    number = whole.partition
    first = next(replay(exchange.access, Partition(COMMANDS.name, number), Engine(number)))
    assert first.offset == 0
    part = rebuilt(settings, symbol, stopping)
    assert part is None or len(part.open_orders) == 1
    assert capsys.readouterr().err == "stopped after command 0\n"


def test_tail_prints_the_records_of_a_key_unchanged(exchange: Exchange, symbol: str) -> None:
    data_dir = exchange.stack.data_dir
    options = (COMMANDS.name, "--key", symbol, "--from-beginning", "--once")
    done = example("tail", *options, data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    assert [line.encode() for line in done.stdout.splitlines()] == exchange.records_of_symbol(
        symbol
    )


def test_tail_followed_live_prints_new_records_until_stopped(exchange: Exchange) -> None:
    symbol, data_dir = exchange.symbol(), exchange.stack.data_dir
    options = (COMMANDS.name, "--key", symbol)
    with (
        trading(exchange.broker(), symbol),
        running_example("tail", *options, data_dir=data_dir) as run,
    ):
        assert run.stdout is not None
        assert json.loads(run.stdout.readline())["symbol"] == symbol
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)
    assert run.returncode == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_example_with_help_prints_its_purpose(program: str, tmp_path: Path) -> None:
    done = example(program, "--help", data_dir=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "It shows" in done.stdout
    assert f"python -m examples.{program}" in done.stdout
    opening = (ROOT / "examples" / f"{program}.py").read_text().splitlines()[0]
    assert opening.removeprefix('"""') in done.stdout
