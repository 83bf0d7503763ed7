"""Sends records in transactions, one at a time per partition, on a separate thread.

A broker accepts the records of a transactional id from its newest producer only: a process that
was paused and replaced can write nothing, whatever is in its queue. Consumers that read
committed records, the default of Kafka's C client, see each record once.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter

from confluent_kafka import KafkaError, KafkaException, Producer

from services.runtime.errors import DeliveryError, ExchangeError, SupersededError, UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.producer import producer_config
from services.runtime.logging_setup import kafka_logger

logger = logging.getLogger(__name__)

# The broker aborts a transaction of a process that is paused for this long.
TRANSACTION_MS_MAX = 10_000
# A transaction's share of a backlog. The tail of a partition that a claim reads stays small.
RECORDS_MAX = 500
# Records that wait for a transaction; further ones block the caller.
QUEUE_RECORDS_MAX = 100_000
INIT_TIMEOUT_S = 60.0
# Where the records of a refused transaction are looked for: its own, and those of foreign programs.
TAIL_OFFSETS = 10 * RECORDS_MAX
# A broker that refuses a transaction so often will refuse the next one too.
OPENINGS_MAX = 3
_ATTEMPT_S = 5.0
_RETRY_S = 0.1
_WAKE_S = 0.25
_FLUSH_TIMEOUT_S = 10.0
_FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
)


# Partition, topic, key and value. A named tuple takes several times as long to make.
_Waiting = tuple[int, str, bytes | None, bytes]


class TransactionalSender:
    """Sends to the partitions that were opened. A lasting error is raised by the next `check`.

    `id_prefix` and the partition's number make its transactional id. Records wait `interval_ms` for
    others, so that they share a transaction. For one calling thread.
    """

    def __init__(self, kafka: KafkaAccess, id_prefix: str, *, interval_ms: int) -> None:
        self._kafka = kafka
        self._id_prefix = id_prefix
        self._interval_s = interval_ms / 1000
        self._producers: dict[int, Producer] = {}
        self._topics: dict[int, Sequence[str]] = {}
        self._queue: deque[_Waiting] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._settled = threading.Condition()
        self._sent = 0
        self._committed = 0
        self._failure: ExchangeError | None = None
        self._thread = threading.Thread(target=self._run, name="transactions", daemon=True)
        self._thread.start()

    def open(self, partition: int, topics: Sequence[str]) -> None:
        """Become the only sender of a partition; abort the open transaction of an earlier one.

        `topics`: all those to which records will be sent. Raises UnavailableError, AccessError.
        """
        config = producer_config(self._kafka, linger_ms=0) | {
            "transactional.id": f"{self._id_prefix}{partition}",
            "transaction.timeout.ms": TRANSACTION_MS_MAX,
            "message.timeout.ms": TRANSACTION_MS_MAX,
        }
        producer = Producer(config, logger=kafka_logger())
        deadline = time.monotonic() + INIT_TIMEOUT_S
        while True:
            try:
                producer.init_transactions(_ATTEMPT_S)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if not reason.retriable() or time.monotonic() > deadline:
                    raise self._kafka.refusal(reason) or UnavailableError(
                        f"Kafka opens no transactions of partition {partition}: {reason.str()}; "
                        "see transaction.state.log.replication.factor of its brokers"
                    ) from error
            else:
                break
        self._abort_pending(producer, partition, topics)
        self._producers[partition] = producer
        self._topics[partition] = topics

    def _abort_pending(self, producer: Producer, partition: int, topics: Sequence[str]) -> None:
        """Abort records that wait for a marker which a power cut has taken.

        The broker holds their transaction for ended, so opening the id does not abort it, and the
        next commit would make them visible. Raises UnavailableError, AccessError.
        """
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failures.append(error)

        try:
            producer.begin_transaction()
            # The marker goes to the partitions that the transaction has written to, and no others.
            for topic in topics:
                producer.produce(topic, b"", b"", partition, on_delivery=delivered)
            waiting = producer.flush(INIT_TIMEOUT_S)
            self._repeat(producer.abort_transaction)
        except KafkaException as error:
            failures.append(error.args[0])
            waiting = 0
        if failures or waiting:
            reason = failures[0] if failures else KafkaError(KafkaError._TIMED_OUT)
            raise self._kafka.refusal(reason) or UnavailableError(
                f"Kafka aborts no records of partition {partition} that were left without a "
                f"marker: {reason.str()}"
            )

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """Queue a record of an opened partition; blocks while the queue is full."""
        while len(self._queue) >= QUEUE_RECORDS_MAX:
            self.check()
            time.sleep(_RETRY_S)
        self._sent += 1
        self._queue.append((partition, topic, key, value))
        if not self._wake.is_set():
            self._wake.set()

    def check(self) -> None:
        """Raises SupersededError, DeliveryError or AccessError if records can no longer be sent."""
        if self._failure is not None:
            raise self._failure

    def settle(self, timeout_s: float) -> bool:
        """Wait until every record is committed; True if that is so in time."""
        with self._settled:
            self._settled.wait_for(
                lambda: self._failure is not None or self._committed == self._sent, timeout_s
            )
        self.check()
        return self._committed == self._sent

    def flush(self) -> None:
        """Wait until every record is committed. Raises DeliveryError after a time limit."""
        if not self.settle(_FLUSH_TIMEOUT_S):
            raise DeliveryError(f"records were not committed in {_FLUSH_TIMEOUT_S} s")

    def close(self) -> None:
        """End the thread. Records that are not committed by now are not sent."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if not self._queue:
                    self._wake.wait(_WAKE_S)
                    self._wake.clear()
                elif not self._stopping.wait(self._interval_s):
                    self._send_waiting()
        except ExchangeError as error:
            self._failure = error
        except KafkaException as error:
            self._failure = self._lasting(error.args[0])
        except Exception as error:
            self._failure = DeliveryError(f"sending in transactions: {error!r}")
        with self._settled:
            self._settled.notify_all()

    def _send_waiting(self) -> None:
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), RECORDS_MAX))]
        # Sorting is stable: the order within a partition stays.
        for partition, records in groupby(sorted(taken, key=itemgetter(0)), itemgetter(0)):
            committed = self._commit(partition, list(records))
            with self._settled:
                self._committed += committed
                self._settled.notify_all()

    def _commit(self, partition: int, records: list[_Waiting]) -> int:
        """The number of records that are committed: all, or none if this sender is closed."""
        openings = 0
        left = records
        while left:
            if self._stopping.is_set():
                return 0
            try:
                if self._attempt(self._producers[partition], left):
                    break
                self._stopping.wait(_RETRY_S)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                openings += 1
                if self._stopping.is_set() or _superseded(reason) or openings > OPENINGS_MAX:
                    raise
                left = self._open_again(partition, left, reason)
        return len(records)

    def _attempt(self, producer: Producer, records: list[_Waiting]) -> bool:
        """True if the records are committed, False if their transaction is aborted.

        Raises KafkaException if the broker does not confirm either.
        """
        try:
            producer.begin_transaction()
            for partition, topic, key, value in records:
                producer.produce(topic, value, key, partition)
            self._repeat(producer.commit_transaction)
        except KafkaException as error:
            if error.args[0].fatal() or _superseded(error.args[0]):
                raise
            self._repeat(producer.abort_transaction)
            return False
        return True

    def _open_again(
        self, partition: int, records: list[_Waiting], reason: KafkaError
    ) -> list[_Waiting]:
        """Open the partition again; the records that are not committed.

        A broker that stops within a commit can refuse the repeated one for its state. It refuses a
        sender that was replaced for its epoch before that, so this takes nothing from another.
        Raises UnavailableError, AccessError.
        """
        fields = {"partition": partition, "records": len(records), "reason": reason.str()}
        logger.warning("transaction refused, opened again", extra={"fields": fields})
        self.open(partition, self._topics[partition])
        consumer = LogConsumer(self._kafka, Fetch(wait_ms=50), committed=True)
        try:
            committed = set()
            for topic in {topic for _, topic, _, _ in records}:
                where = Partition(topic, partition)
                held = consumer.range(where)
                start = max(held.low, held.end - TAIL_OFFSETS)
                committed |= {
                    (topic, message.value()) for message in consumer.read(where, start, held.end)
                }
        finally:
            consumer.close()
        return [each for each in records if (each[1], each[3]) not in committed]

    def _repeat(self, step: Callable[[float], None]) -> None:
        # A step that timed out goes on where it was; the broker decides once.
        while True:
            try:
                step(_ATTEMPT_S)
            except KafkaException as error:
                if self._stopping.is_set() or not error.args[0].retriable():
                    raise
                self._stopping.wait(_RETRY_S)
            else:
                return

    def _lasting(self, reason: KafkaError) -> ExchangeError:
        if _superseded(reason):
            return SupersededError(
                "another matcher sends the public records of one of our partitions, or this one "
                f"stood still for {TRANSACTION_MS_MAX / 1000:g} s"
            )
        return self._kafka.refusal(reason) or DeliveryError(
            f"public records were not committed: {reason.str()}"
        )


def _superseded(reason: KafkaError) -> bool:
    return reason.code() in _FENCED or "fenced" in reason.str().lower()
