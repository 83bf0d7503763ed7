"""TopicDispatcher: execution batches reach views before waiters, other records are unchanged."""

import asyncio
from typing import cast

from confluent_kafka import Message
from msgspec import Struct

from schemas.brokers import Broker, key_hash
from schemas.codec import encode
from schemas.executions import Claim, Outcome, Outcomes, Ticked
from schemas.topology import Topology
from services.api.brokers import BrokerDirectory
from services.runtime.kafka.consumer import LogConsumer
from services.runtime.kafka.dispatcher import TopicDispatcher


class Record(Struct):
    """A Kafka message with the methods that the dispatcher reads."""

    of: str
    at: int
    value_: bytes | None
    key_: bytes | None = None

    def topic(self) -> str:
        return self.of

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_


def test_records_reach_their_subscribers_in_order() -> None:
    broker = Broker("33be8111-b9b1-40c1-a6e6-2395694c9eef", "Alfa", key_hash("a"), 0)
    outcome = Outcomes(0, 0, (Outcome(1, Ticked()),))
    received: list[object] = []

    async def scenario() -> BrokerDirectory:
        directory = BrokerDirectory("the-admin-key")
        dispatcher = TopicDispatcher(
            cast(LogConsumer, None),
            Topology("p-", 1, "process"),
            on_broker=directory.apply,
            on_listing=lambda key, value: received.append((key, value)),
            failed=received.append,
        )
        dispatcher.subscribe(on_batch=lambda batch: received.append(("views", batch.first_command)))
        dispatcher.subscribe(
            on_batch=lambda batch: received.append(("waiters", batch.first_command)),
        )
        records = [
            Record("p-exchange.listings.v1", 0, b"v", b"PETR4"),
            Record("p-exchange.executions.v1", 0, encode(Claim("m"))),
            Record("p-exchange.brokers.v1", 0, encode(broker), broker.broker_id.encode()),
            Record("p-exchange.executions.v1", 1, encode(outcome)),
            Record("p-exchange.executions.v1", 2, encode(outcome)),
        ]
        dispatcher.deliver(cast(list[Message], records))
        assert not dispatcher.caught_up()
        assert (dispatcher.brokers_applied(1), dispatcher.brokers_applied(2)) == (True, False)
        return directory

    directory = asyncio.run(scenario())
    assert received == [(b"PETR4", b"v"), ("views", 0), ("waiters", 0)]
    assert directory.caller("a", 0) == broker


def test_outcomes_come_singly_to_all_while_one_subscriber_needs_it() -> None:
    outcomes = (Outcome(1, Ticked()), Outcome(2, Ticked()))
    received: list[object] = []
    needed = [True]

    async def scenario() -> None:
        dispatcher = TopicDispatcher(
            cast(LogConsumer, None),
            Topology("p-", 1, "process"),
            on_broker=lambda _, __: None,
            on_listing=lambda _, __: None,
            failed=received.append,
        )
        dispatcher.subscribe(on_batch=lambda b: received.append((b.first_command, len(b.outcomes))))
        dispatcher.subscribe(
            on_batch=lambda batch: received.append(batch.first_command),
            singly=lambda: needed[0],
            at_end=lambda: received.append("end"),
        )
        executions = "p-exchange.executions.v1"
        first = [Record(executions, 0, encode(Claim("m")))]
        first.append(Record(executions, 1, encode(Outcomes(0, 0, outcomes))))
        dispatcher.deliver(cast(list[Message], first))
        needed[0] = False
        second = [Record(executions, 2, encode(Outcomes(0, 2, outcomes)))]
        dispatcher.deliver(cast(list[Message], second))

    asyncio.run(scenario())
    assert received == [(0, 1), 0, (1, 1), 1, "end", (2, 2), 2, "end"]
