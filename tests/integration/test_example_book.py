"""`examples.full_book` on a real exchange, and on topics with missing, repeated or wrong
records."""

import random
import signal
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from msgspec import structs

from conformance.api import eventually
from schemas.book import BookUpdate, Level
from schemas.codec import decode_book_update
from schemas.topics import BOOK
from tests.support.examples import (
    SyntheticTopic,
    example,
    place_random_orders,
    running_example,
    trading,
)
from tests.support.exchange import Exchange
from tests.support.servers import KafkaServer


def update(sequence: int, *levels: tuple[int, int], whole: bool = False) -> BookUpdate:
    """A book update with asks of one order each."""
    asks = tuple(Level(price, quantity, 1 if quantity else 0) for price, quantity in levels)
    return BookUpdate("AAA", sequence, 0, 0, 0, (), asks, whole)


def book_of(exchange: Exchange, *options: object, **more: str) -> CompletedProcess[str]:
    """Run the program in the data directory of a running exchange."""
    return example("full_book", *options, data_dir=exchange.stack.data_dir, **more)


@pytest.fixture(scope="module")
def readable(exchange: Exchange) -> tuple[str, str]:
    """A symbol with orders in its book, and an API key that may read it."""
    symbol, key = exchange.symbol(), exchange.register("analyst")
    place_random_orders(exchange.broker("trader"), symbol, 250, random.Random(3))
    updates_of(exchange, symbol)
    return symbol, key


def updates_of(exchange: Exchange, symbol: str) -> list[BookUpdate]:
    """All book updates of a symbol, read once the topic contains the book's latest change."""
    change = exchange.broker().get(f"/stocks/{symbol}/book").body["sequence"]

    def found() -> list[BookUpdate]:
        return [u for u in map(decode_book_update, exchange.records(BOOK)) if u.symbol == symbol]

    eventually("the book is public", lambda: any(u.sequence >= change for u in found()))
    return found()


def test_book_rebuilt_from_the_topic_equals_that_of_the_api(
    exchange: Exchange, readable: tuple[str, str]
) -> None:
    symbol, key = readable
    done = book_of(exchange, symbol, "--key", key, "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same as the API's" in done.stdout
    assert "0 records repeated, 0 missing" in done.stdout
    shown = exchange.broker().get(f"/stocks/{symbol}/book").body
    assert f"{symbol} after change {shown['sequence']}: " in done.stdout
    best = shown["bids"][0]
    first = done.stdout.splitlines()[3].split()
    assert first[:3] == [
        str(best["order_count"]), str(best["total_quantity"]), f"{best['price'] / 100:.2f}"
    ]  # fmt: skip


def test_book_without_a_key_is_shown_and_not_compared(
    exchange: Exchange, readable: tuple[str, str]
) -> None:
    done = book_of(exchange, readable[0], "--once")
    assert done.returncode == 0, done.stderr
    assert "compared" not in done.stdout
    assert f"{readable[0]} after change" in done.stdout


def test_book_of_a_wrong_topic_differs_from_that_of_the_api(
    exchange: Exchange, readable: tuple[str, str]
) -> None:
    symbol, key = readable
    updates = updates_of(exchange, symbol)
    best = exchange.broker().get(f"/stocks/{symbol}/book").body["bids"][0]
    lie = Level(best["price"], best["total_quantity"] + 1, best["order_count"])
    updates[-1] = structs.replace(updates[-1], bids=(*updates[-1].bids, lie))
    topic = SyntheticTopic(exchange.bootstrap, "lies")
    topic.publish(updates)
    done = book_of(exchange, symbol, "--key", key, "--once", "--topic", topic.name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"bid {lie}: only here" in done.stdout
    assert "0 times the same, 1 not" in done.stdout


def test_book_followed_live_equals_that_of_the_api_each_time(
    exchange: Exchange, tmp_path: Path
) -> None:
    symbol, key, broker = exchange.symbol(), exchange.register("analyst"), exchange.broker()
    options = (symbol, "--key", key, "--every", "0")
    data_dir = exchange.stack.data_dir
    with trading(broker, symbol), running_example("full_book", *options, data_dir=data_dir) as run:
        assert run.stdout is not None
        for _ in range(20):
            assert "the same as the API's" in run.stdout.readline()
        run.send_signal(signal.SIGINT)
        printed, _ = run.communicate(timeout=30)
    assert run.returncode == 0
    assert "times the same, 0 not" in printed


@pytest.fixture
def topic(kafka: KafkaServer) -> SyntheticTopic:
    return SyntheticTopic(kafka.bootstrap_servers, "made-up-book", partitions=2)


def shown(topic: SyntheticTopic, data_dir: Path) -> CompletedProcess[str]:
    options = ("AAA", "--kafka", topic.bootstrap, "--topic", topic.name, "--once")
    return example("full_book", *options, data_dir=data_dir)


def test_book_of_repeated_records_applies_each_once(topic: SyntheticTopic, tmp_path: Path) -> None:
    first, second = update(1, (100, 5), whole=True), update(2, (100, 0), (101, 7))
    topic.publish([first, second, first, second])
    topic.publish([structs.replace(first, symbol="BBB")], partition=1)
    done = shown(topic, tmp_path)
    assert "AAA after change 2: 0 bid and 1 ask levels\n" in done.stdout
    assert "1.01" in done.stdout
    assert "1.00 " not in done.stdout
    assert "2 records repeated, 0 missing" in done.stdout


def test_book_after_a_gap_is_unknown_until_the_next_whole_book(
    topic: SyntheticTopic, tmp_path: Path
) -> None:
    topic.publish([update(1, (100, 5), whole=True), update(4, (101, 7))])
    gap = shown(topic, tmp_path)
    assert "changes 2 to 3 are missing; the book is not known" in gap.stderr
    assert "not known since a gap" in gap.stdout
    topic.publish([update(5, (102, 1), whole=True), update(6, (103, 1))])
    again = shown(topic, tmp_path)
    assert "AAA after change 6: 0 bid and 2 ask levels\n" in again.stdout
    assert "1.00 " not in again.stdout


def test_book_of_a_topic_without_its_beginning_starts_at_a_whole_record(
    topic: SyntheticTopic, tmp_path: Path
) -> None:
    whole = update(1000, (200, 5), (201, 5), whole=True)
    topic.publish([update(998, (100, 5)), update(999, (101, 5)), whole, update(1001, (200, 0))])
    topic.delete_before(1)
    done = shown(topic, tmp_path)
    assert "AAA after change 1001: 0 bid and 1 ask levels\n" in done.stdout
    assert "0 records repeated, 0 missing" in done.stdout


def test_book_that_cannot_be_compared_fails_with_one_line(
    exchange: Exchange, readable: tuple[str, str]
) -> None:
    symbol, key = readable
    refused = book_of(exchange, symbol, "--once", "--key", "nobodys")
    assert refused.returncode == 1
    assert "the API answers 401" in refused.stderr
    away = book_of(exchange, symbol, "--once", "--key", key, "--url", "http://127.0.0.1:1")
    assert away.returncode == 1
    assert "the API does not answer" in away.stderr
    assert "Traceback" not in refused.stderr + away.stderr
