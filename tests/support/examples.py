"""Runs of the programs in `examples/`, and synthetic public topics for them."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from conformance.api import Api, eventually
from schemas.book import BookUpdate
from schemas.codec import encode
from schemas.trades import Trade

ROOT = Path(__file__).parents[2]
# Below the timeout of a test, so that a hanging program is reported with its output.
TIMEOUT_S = 100
# More price levels on each side than the API returns of a book.
LEVELS = 70


def _command(name: str, options: Iterable[object]) -> list[str]:
    return [sys.executable, "-m", f"examples.{name}", *map(str, options)]


def _environ(data_dir: Path, changes: dict[str, str]) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("EXCHANGE_")}
    return clean | {"EXCHANGE_DATA_DIR": str(data_dir)} | changes


def example(
    name: str, *options: object, data_dir: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run an example and wait for its end. `data_dir`: where it looks for a running exchange."""
    return subprocess.run(
        _command(name, options),
        cwd=ROOT,
        env=_environ(data_dir, environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextmanager
def running_example(
    name: str, *options: object, data_dir: Path, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Run an example during the context; kill it at the end if it has not ended."""
    with subprocess.Popen(
        _command(name, options),
        cwd=ROOT,
        env=_environ(data_dir, {}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class SyntheticTopic:
    """Topic on a real broker, written by the test: with repeats, gaps and unknown records."""

    def __init__(self, bootstrap: str, name: str, partitions: int = 1) -> None:
        self.bootstrap = bootstrap
        self.name = f"{name}.{time.time_ns()}"
        client: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._admin, self._producer = AdminClient(client), Producer(client)
        self._admin.create_topics([NewTopic(self.name, partitions)])[self.name].result()
        eventually("the topic has leaders", lambda: self._leaders() == partitions)

    def _leaders(self) -> int:
        listed = self._admin.list_topics(self.name, timeout=10).topics[self.name]
        return sum(each.leader >= 0 for each in listed.partitions.values())

    def publish(self, messages: Iterable[Trade | BookUpdate], partition: int = 0) -> None:
        """Append messages like a matcher, and flush."""
        for message in messages:
            self.append(message.symbol, encode(message), partition)
        self._producer.flush(30)

    def append(self, key: str, value: bytes, partition: int = 0) -> None:
        """Queue any bytes; the next `publish` flushes them."""
        self._producer.produce(self.name, value, key.encode(), partition)

    def delete_before(self, offset: int, partition: int = 0) -> None:
        """Delete the records before this offset, like retention."""
        start = TopicPartition(self.name, partition, offset)
        self._admin.delete_records([start])[start].result()


def place_random_orders(broker: Api, symbol: str, orders: int, rng: random.Random) -> None:
    """Place orders that rest, trade and are cancelled, on more levels than the API returns."""
    resting: list[str] = []
    for _ in range(orders):
        if resting and rng.random() < 0.3:
            broker.cancel(resting.pop(rng.randrange(len(resting))))
        else:
            price = 1_000 + rng.randint(-LEVELS, LEVELS)
            side = rng.choice(("bid", "ask"))
            answer = broker.place(side, symbol, rng.randint(1, 9), price)
            assert answer.status == 201
            resting.append(answer.body["order_id"])


@contextmanager
def trading(broker: Api, symbol: str) -> Iterator[None]:
    """Place random orders without pause during the context."""
    stopping = threading.Event()

    def trade() -> None:
        rng = random.Random(4)
        while not stopping.is_set():
            place_random_orders(broker, symbol, 10, rng)

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
