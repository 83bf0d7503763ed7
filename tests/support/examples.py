"""The programs in `examples/` as an analyst starts them, and public topics made up for them."""

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
TIMEOUT_S = 100
# More on each side than the API tells of a book.
LEVELS = 70


def _command(name: str, options: Iterable[object]) -> list[str]:
    return [sys.executable, "-m", f"examples.{name}", *map(str, options)]


def _environ(data_dir: Path, changes: dict[str, str]) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("EXCHANGE_")}
    return clean | {"EXCHANGE_DATA_DIR": str(data_dir)} | changes


def example(
    name: str, *options: object, data_dir: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """A program to its end. `data_dir`: where it looks for a running exchange."""
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
    """A program that runs inside, and is killed after unless it ended by itself."""
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


class MadeUpTopic:
    """A topic on a real broker that a test writes itself: repeats, gaps and strangers included."""

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

    def tell(self, messages: Iterable[Trade | BookUpdate], partition: int = 0) -> None:
        """Append messages as a matcher would."""
        for message in messages:
            self.append(message.symbol, encode(message), partition)
        self._producer.flush(30)

    def append(self, key: str, value: bytes, partition: int = 0) -> None:
        """Append any bytes; they are there after the next `tell`."""
        self._producer.produce(self.name, value, key.encode(), partition)

    def forget(self, before: int, partition: int = 0) -> None:
        """As retention does: the records before this offset are gone."""
        where = TopicPartition(self.name, partition, before)
        self._admin.delete_records([where])[where].result()


def trade_at_random(broker: Api, symbol: str, orders: int, rng: random.Random) -> None:
    """Orders that rest, trade and are cancelled, on more levels than the API tells."""
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
    """Somebody trades inside, without a pause."""
    over = threading.Event()

    def trade() -> None:
        rng = random.Random(4)
        while not over.is_set():
            trade_at_random(broker, symbol, 10, rng)

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
