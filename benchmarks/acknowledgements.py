"""Times Kafka's acknowledgement of commands that are sent at a steady rate, open loop."""

import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from schemas.topics import COMMANDS
from schemas.topology import Durability
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topics import TopicsAdmin

# More than one, because a producer batches each partition separately.
PARTITIONS: Final = 2
# The default of the gateway's producer.
LINGER_MS: Final = 0
# Bounds the wait for late acknowledgements at the end of a run.
FLUSH_TIMEOUT_S: Final = 30.0


class AcknowledgementProbe:
    """Fresh topics of one durability mode, and a producer configured like the gateway's."""

    def __init__(self, bootstrap: str, mode: Durability, prefix: str = "") -> None:
        prefix = prefix or f"{mode}."
        TopicsAdmin(KafkaAccess(bootstrap), prefix).apply(PARTITIONS, mode)
        self._topic = COMMANDS.full_name(prefix)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": LINGER_MS,
                "max.in.flight.requests.per.connection": 1,
                "socket.nagle.disable": True,
                "log_level": 0,
            }
        )
        self.failed = 0

    def run(self, values: Sequence[bytes], rate: int, seconds: float) -> list[float]:
        """Milliseconds from when each command was due until its acknowledgement."""
        times_ms: list[float] = []
        start_s = time.perf_counter()
        for number in range(int(rate * seconds)):
            due_s = start_s + number / rate
            while (left_s := due_s - time.perf_counter()) > 0:
                self._producer.poll(left_s)
            self._send(values[number % len(values)], number % PARTITIONS, due_s, times_ms)
        self._producer.flush(FLUSH_TIMEOUT_S)
        return times_ms

    def _send(self, value: bytes, partition: int, due_s: float, times_ms: list[float]) -> None:
        def on_delivery(error: KafkaError | None, _: Message) -> None:
            times_ms.append((time.perf_counter() - due_s) * 1_000)
            self.failed += error is not None

        self._producer.produce(self._topic, value, partition=partition, on_delivery=on_delivery)
        self._producer.poll(0)
