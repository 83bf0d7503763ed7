"""Idempotent producers. One thread polls for delivery reports, rarely: wake-ups are the cost.

`Sender` reports the result of each record; `FailFastSender` only that a delivery failed.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.topics import RECORD_BYTES_MAX
from services.runtime.errors import DeliveryError, ExchangeError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.logging_setup import kafka_logger

log = logging.getLogger(__name__)

# Delivery reports gather for this long: they matter only to requests with a late outcome.
POLL_INTERVAL_S = 0.005
# The longest wait for a report, between two checks whether to stop.
QUIET_S = 0.1
# Bounds the records in the client while the broker is away.
QUEUE_RECORDS_MAX = 100_000
FLUSH_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 0.5
# Time that a new producer looks for a broker: one that starts without a broker sends
# InitProducerId half a second late.
MEET_TIMEOUT_S = 2.0


class NotQueuedError(Exception):
    """The client did not take a record: nothing was written."""


DeliveryResult = Literal["stored", "not_stored", "unknown"]
OnFate = Callable[[DeliveryResult], None]


def producer_config(kafka: KafkaAccess, linger_ms: int) -> dict[str, Any]:
    """Settings of every producer.

    One request is in flight per broker: meanwhile the next records gather, so batches grow with
    the load, and in a quiet market no record waits.
    """
    return kafka.config() | {
        "enable.idempotence": True,
        "max.in.flight.requests.per.connection": 1,
        "acks": "all",
        "partitioner": "murmur2_random",
        "linger.ms": linger_ms,
        "message.max.bytes": RECORD_BYTES_MAX,
        "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
        "reconnect.backoff.max.ms": 500,
        "socket.nagle.disable": True,
    }


def _producer(config: dict[str, Any]) -> Producer:
    """A producer that is ready to send, if Kafka is reachable at all."""
    producer = Producer(config, logger=kafka_logger())
    with suppress(KafkaException):
        producer.list_topics(timeout=MEET_TIMEOUT_S)
    return producer


# Errors by which broker or client refuse a record outright: it was certainly not written. After
# any other error it may have been, since the Python client does not pass on more.
_CERTAINLY_NOT_STORED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


class Sender:
    """Sends records with a result for each. Thread-safe; `result` runs on the poll thread.

    `available` is a circuit breaker: False when no broker is left, True once one answers again. A
    caller that finds it False need not send, and knows that nothing was written.

    After a fatal error, such as a missing right to write, the client accepts no further record:
    `available` stays False, and `failed` is called with the reason, from any thread.
    """

    def __init__(
        self,
        kafka: KafkaAccess,
        *,
        linger_ms: int,
        timeout_ms: int,
        failed: Callable[[ExchangeError], None],
    ) -> None:
        self._kafka = kafka
        self._on_failure = failed
        self._failed = threading.Event()
        config = producer_config(kafka, linger_ms)
        config |= {"message.timeout.ms": timeout_ms, "error_cb": self._on_error}
        self.available = True
        self._producer = _producer(config)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="deliveries", daemon=True)
        self._thread.start()

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, result: OnFate
    ) -> None:
        """Queue a record. Raises BufferError if the queue is full, NotQueuedError if the client
        does not take the record for another reason: nothing was sent then."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                result("stored")
            else:
                result("not_stored" if error.code() in _CERTAINLY_NOT_STORED else "unknown")

        try:
            self._producer.produce(topic, value, key, partition, on_delivery=delivered)
        except KafkaException as error:
            if is_fatal(error):
                self._fail(_reason_of(self._producer, error))
            raise NotQueuedError(error.args[0].str()) from error

    def _fail(self, error: KafkaException | SystemError) -> None:
        self.available = False
        if not self._failed.is_set():
            self._failed.set()
            reason = _fatal_error(self._kafka, error)
            log.error("%s", reason)
            self._on_failure(reason)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.available = False

    def _poll(self) -> None:
        try:
            # Sleeping outside poll() gathers the reports of a few milliseconds into one wake-up,
            # waiting inside it lets a quiet client rest.
            while not self._stopping.wait(POLL_INTERVAL_S):
                self._producer.poll(QUIET_S)
                if not self.available and not self._failed.is_set():
                    self._probe()
        except (KafkaException, SystemError) as error:
            self._fail(error)

    def _probe(self) -> None:
        try:
            self._producer.list_topics(timeout=PROBE_TIMEOUT_S)
        except KafkaException:
            return
        self.available = not self._failed.is_set()
        log.info("Kafka answers again")

    def close(self) -> int:
        """Flush until a deadline; returns the number of records whose result stays unknown."""
        self._stopping.set()
        self._thread.join()
        try:
            return self._producer.flush(FLUSH_TIMEOUT_S)
        except (KafkaException, SystemError) as error:
            self._fail(error)
            return len(self._producer)


class FailFastSender:
    """Sends records that must all arrive, in order. Any delivery error ends the process.

    No time-out: records wait while the broker is away. Not thread-safe.
    """

    def __init__(self, kafka: KafkaAccess, *, linger_ms: int) -> None:
        config = producer_config(kafka, linger_ms) | {
            "message.timeout.ms": 0,
            "delivery.report.only.error": True,
        }
        self._kafka = kafka
        self._failure: KafkaError | None = None
        self._producer = _producer(config)

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """Queue a record; blocks while the queue is full. Raises DeliveryError, AccessError if
        refused."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._delivered)
            except BufferError:
                self._poll(0.1)
                self.check()
            except KafkaException as error:
                self._raise(_reason_of(self._producer, error) if is_fatal(error) else error)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failure = error

    def check(self) -> None:
        """Process delivery reports. Raises DeliveryError after a failure, AccessError if
        refused."""
        self._poll(0)
        if self._failure is not None:
            raise _error(self._kafka, self._failure, "a record was not delivered")

    def _poll(self, wait_s: float) -> None:
        try:
            self._producer.poll(wait_s)
        except (KafkaException, SystemError) as error:
            self._raise(error)

    def _raise(self, error: KafkaException | SystemError) -> NoReturn:
        if isinstance(error, KafkaException) and not is_fatal(error):
            raise _error(self._kafka, error.args[0], "a record was not taken") from error
        raise _fatal_error(self._kafka, error) from error

    def settle(self, timeout_s: float) -> bool:
        """Wait for acknowledgements; True if every record has one in time. Raises DeliveryError."""
        try:
            left = self._producer.flush(timeout_s)
        except (KafkaException, SystemError) as error:
            self._raise(error)
        self.check()
        return not left

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until every record is acknowledged. Raises DeliveryError, also after the time
        limit."""
        if not self.settle(timeout_s):
            raise DeliveryError(f"records were not acknowledged in {timeout_s} s")


def is_fatal(error: KafkaException) -> bool:
    """True if the producer accepts no record after this error."""
    reason: KafkaError = error.args[0]
    return reason.code() == KafkaError._FATAL or reason.fatal()


def _reason_of(producer: Producer, fatal: KafkaException) -> KafkaException | SystemError:
    # `produce` says only that there was a fatal error, `poll` which one.
    try:
        producer.poll(0)
    except (KafkaException, SystemError) as error:
        return error
    return fatal


def _fatal_error(kafka: KafkaAccess, error: KafkaException | SystemError) -> ExchangeError:
    # Raised inside the client's callback, which the library turns into a SystemError.
    cause = error if isinstance(error, KafkaException) else error.__cause__
    if not isinstance(cause, KafkaException):
        raise error
    return _error(kafka, cause.args[0], "Kafka's client accepts no further record")


def _error(kafka: KafkaAccess, error: KafkaError, what: str) -> ExchangeError:
    return kafka.refusal(error) or DeliveryError(f"{what}: {error.str()}")


def append(kafka: KafkaAccess, topic: str, partition: int, key: bytes, value: bytes) -> int:
    """Append one record with a producer made for it, and return its offset.

    Raises DeliveryError, AccessError.
    """
    offsets: list[int] = []
    errors: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            errors.append(error)
        elif (offset := message.offset()) is not None:
            offsets.append(offset)

    producer = _producer(producer_config(kafka, 0))
    try:
        producer.produce(topic, value, key, partition, on_delivery=delivered)
    except KafkaException as error:
        # The client knows the refusal already. A fatal one names its reason only in flush() below.
        if error.args[0].code() != KafkaError._FATAL:
            errors.append(error.args[0])
    try:
        producer.flush(FLUSH_TIMEOUT_S)
    except (KafkaException, SystemError) as error:
        # A missing right to write raises inside the client's callback, which the library turns into
        # this exception.
        fatal = error if isinstance(error, KafkaException) else error.__cause__
        if not isinstance(fatal, KafkaException):
            raise
        errors.insert(0, fatal.args[0])
    if offsets:
        return offsets[0]
    what = f"{topic}/{partition} did not take a record"
    if errors:
        raise _error(kafka, errors[0], what)
    raise DeliveryError(f"{what}: no answer in {FLUSH_TIMEOUT_S} s")
