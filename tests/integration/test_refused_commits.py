"""Public records whose commit the broker refuses: readers see each of them once, in order."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schemas.topics import BOOK, TRADES
from services.runtime.errors import DeliveryError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.kafka.transactions import OPENINGS_MAX, TransactionalSender
from tests.support.refusing_proxy import RefusingProxy
from tests.support.servers import KafkaServer

SETTLE_S = 60.0


@pytest.fixture
def proxy(kafka: KafkaServer) -> Iterator[RefusingProxy]:
    with RefusingProxy(kafka.bootstrap_servers) as proxy:
        yield proxy


@contextmanager
def sender_of(proxy: RefusingProxy, prefix: str) -> Iterator[TransactionalSender]:
    TopicsAdmin(proxy.access, prefix).apply(1, "process")
    sender = TransactionalSender(proxy.access, f"{prefix}matcher-", interval_ms=20)
    sender.open(0, [TRADES.full_name(prefix), BOOK.full_name(prefix)])
    try:
        yield sender
    finally:
        sender.close()


def send(sender: TransactionalSender, prefix: str, *numbers: int) -> None:
    """Queue a trade and a book record for each number."""
    for number in numbers:
        for topic in (TRADES, BOOK):
            sender.send(topic.full_name(prefix), 0, b"PETR4", b"%d" % number)


def committed(kafka: KafkaServer, topic: str) -> list[int]:
    consumer = LogConsumer(KafkaAccess(kafka.bootstrap_servers), Fetch(wait_ms=50), committed=True)
    try:
        where = Partition(topic, 0)
        return [int(each.value() or b"") for each in consumer.read(where, *consumer.range(where))]
    finally:
        consumer.close()


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried-out", "not-carried-out"])
def test_records_of_refused_commits_appear_once(
    kafka: KafkaServer, proxy: RefusingProxy, carried_out: bool
) -> None:
    prefix = f"refused-{carried_out}."
    with sender_of(proxy, prefix) as sender:
        send(sender, prefix, 1, 2)
        assert sender.settle(SETTLE_S)
        for first in (3, 6):
            proxy.refuse_commits(1, carried_out=carried_out)
            send(sender, prefix, first, first + 1)
            assert sender.settle(SETTLE_S)
            send(sender, prefix, first + 2)
            assert sender.settle(SETTLE_S)
    assert proxy.refused == 2
    for topic in (TRADES, BOOK):
        assert committed(kafka, topic.full_name(prefix)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_broker_that_refuses_every_commit_ends_the_sender(
    kafka: KafkaServer, proxy: RefusingProxy
) -> None:
    prefix = "refused-always."
    with sender_of(proxy, prefix) as sender:
        proxy.refuse_commits(1_000, carried_out=False)
        send(sender, prefix, 1)
        with pytest.raises(DeliveryError, match="invalid state"):
            sender.settle(SETTLE_S)
    assert proxy.refused == OPENINGS_MAX + 1
    assert committed(kafka, TRADES.full_name(prefix)) == []
