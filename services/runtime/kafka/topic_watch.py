"""Detects that a topic was deleted, or deleted and made again, while a service uses it.

Kafka's client waits without end for a topic that is gone, and reads on from its old position once
the new one has grown that far. The id of a topic is never used again, which distinguishes them.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from services.runtime.errors import TopicsError
from services.runtime.kafka.admin import ATTEMPT_S
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topic_identity import topic_id_text
from services.runtime.logging_setup import kafka_logger

INTERVAL_S = 5.0
# A broker that has just started may not know every topic yet.
MISSING_IN_A_ROW = 3
CLOSE_S = 0.5

# The id of each topic that was found; None for one that Kafka does not have.
TopicIds = Mapping[str, str | None]


class TopicHistory:
    """Compares the topics with those found first. Pure."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._missing: dict[str, int] = {}

    def observe(self, found: TopicIds) -> None:
        """Examine the present topics. Raises TopicsError if one is not the one found first."""
        for name, topic_id in found.items():
            if topic_id is None and name not in self._first:
                continue
            if topic_id is None:
                self._missing[name] = self._missing.get(name, 0) + 1
                if self._missing[name] >= MISSING_IN_A_ROW:
                    raise TopicsError(f"topic {name} was deleted; {_REMEDY}")
                continue
            self._missing[name] = 0
            if self._first.setdefault(name, topic_id) != topic_id:
                raise TopicsError(
                    f"topic {name} was deleted and made again while this service ran; {_REMEDY}"
                )


_REMEDY = (
    "stop every service, run: exchange topics apply, and start them again "
    "(docs/operating.md, Deleted topics)"
)


class TopicWatch:
    """Reads the ids every few seconds, on a thread, until closed. `failed` runs on that thread."""

    def __init__(
        self, kafka: KafkaAccess, topics: Sequence[str], failed: Callable[[TopicsError], None]
    ) -> None:
        self._kafka = kafka
        self._topics = topics
        self._failed = failed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="topics", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        history = TopicHistory()
        admin: AdminClient | None = None
        while True:
            try:
                # A client that has seen an error may repeat it without end: replaced.
                admin = admin or AdminClient(self._kafka.config(), logger=kafka_logger())
                history.observe(self._ids(admin))
            except KafkaException:
                # Kafka is away or refuses the question; the service itself notices that.
                admin = None
            except TopicsError as error:
                self._failed(error)
                return
            if self._stopping.wait(INTERVAL_S):
                return

    def _ids(self, admin: AdminClient) -> TopicIds:
        asked = admin.describe_topics(
            TopicCollection(list(self._topics)), request_timeout=ATTEMPT_S
        )
        found: dict[str, str | None] = {}
        for name, answer in asked.items():
            try:
                found[name] = topic_id_text(answer.result().topic_id)
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    # Not a topic of this process's user.
                    continue
                if code != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
                found[name] = None
        return found

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        # A question in progress may last longer; it must not delay the end of the process.
        self._thread.join(CLOSE_S)
