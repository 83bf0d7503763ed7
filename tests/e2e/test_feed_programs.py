"""The programs of `docs/feeds.md`, as users copy them, against a running exchange."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.api import Api, eventually
from tests.support.exchange import Exchange
from tests.support.feed_reader import trade_on

PAGE = Path(__file__).resolve().parents[2] / "docs" / "feeds.md"
PROGRAM = re.compile(r"<!-- program: (\w+) -->\n```python\n(.*?)```", re.DOTALL)


@contextmanager
def program(name: str, folder: Path, *arguments: str) -> Iterator[Path]:
    """Run a program of the page; its output is in the yielded file."""
    code = dict(PROGRAM.findall(PAGE.read_text(encoding="utf-8")))[name]
    output = folder / f"{name}.txt"
    with output.open("wb") as file:
        running = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=file)
        try:
            yield output
            assert running.poll() is None, "the program ended"
        finally:
            running.kill()
            running.wait()


def lines_of(output: Path) -> list[list[str]]:
    return [line.split() for line in output.read_text().splitlines()]


def test_trades_program_loses_no_trade_over_a_restart_of_the_gateway(
    exchange: Exchange, tmp_path: Path
) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    trade_on(symbol, broker, seed=5)
    with program("trades", tmp_path, exchange.url, symbol) as output:
        eventually("the first trades", lambda: bool(lines_of(output)))
        exchange.stack.stop("gateway")
        exchange.stack.start("gateway")
        exchange.stack.wait_ready("gateway")
        trade_on(symbol, broker, seed=6)
        newest = broker.get(f"/stocks/{symbol}/price").body["sequence"]
        eventually("all trades", lambda: int(lines_of(output)[-1][0]) >= newest)
        sequences = [int(line[0]) for line in lines_of(output)]
    assert sequences == list(range(1, newest + 1))


def test_orders_program_places_and_cancels_and_leaves_nothing_behind(
    exchange: Exchange, tmp_path: Path
) -> None:
    symbol, key = exchange.symbol(), exchange.register("Quotes")
    broker = Api(exchange.url, key)

    def resting() -> list[int]:
        return [level["price"] for level in broker.get(f"/stocks/{symbol}/book").body["bids"]]

    with program("orders", tmp_path, exchange.url, key, symbol) as output:
        eventually("all answers", lambda: len(lines_of(output)) == 10)
        placed = lines_of(output)
        assert resting() == [3700 + number for number in reversed(range(9))]
    assert placed == [[f"quote-{number}", "open"] for number in range(10)]
    eventually("nothing rests", lambda: resting() == [])


def test_own_program_misses_no_event_over_a_kill_of_the_gateway(
    exchange: Exchange, tmp_path: Path
) -> None:
    symbol, key = exchange.symbol(), exchange.register("Own")
    broker = Api(exchange.url, key)
    with program("own", tmp_path, exchange.url, key) as output:

        def placed() -> bool:
            broker.place("bid", symbol, 1, 1)
            return bool(lines_of(output))

        # What was placed before the program subscribed is in its snapshot.
        eventually("the first event", placed)
        trade_on(symbol, broker, seed=11)
        exchange.stack.services["gateway"].kill()
        exchange.stack.start("gateway")
        exchange.stack.wait_ready("gateway")
        trade_on(symbol, broker, seed=12)
        newest = broker.place("bid", symbol, 1, 1).body["order_id"]
        eventually("the newest event", lambda: lines_of(output)[-1][2] == newest)
        sequences = [int(line[0]) for line in lines_of(output)]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_book_program_follows_the_book(exchange: Exchange, tmp_path: Path) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    with program("book", tmp_path, exchange.url, symbol) as output:
        eventually("the empty book", lambda: bool(lines_of(output)))
        trade_on(symbol, broker, seed=7)
        book = broker.get(f"/stocks/{symbol}/book").body
        eventually("the newest book", lambda: int(lines_of(output)[-1][0]) >= book["sequence"])
        best = lines_of(output)[-1][1:]
    assert best == [str([level["price"] for level in book[s][:1]]) for s in ("bids", "asks")]
