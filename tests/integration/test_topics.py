"""Topics on a single broker: refused settings, and topics that a second `apply` keeps unchanged."""

import pytest

from services.runtime.errors import TopicsError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topics import TopicsAdmin
from tests.support.servers import KafkaServer


def test_replicated_topics_on_a_single_broker_are_refused(kafka: KafkaServer) -> None:
    admin = TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), "lonely.")
    with pytest.raises(TopicsError, match="replicated needs 3 brokers"):
        admin.apply(1, "replicated")
    with pytest.raises(TopicsError, match="topics are missing"):
        admin.verify()


def test_topics_applied_again_change_their_durability_and_nothing_else(
    kafka: KafkaServer,
) -> None:
    admin = TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), "again.")
    assert admin.apply(1, None).durability == "fsync"
    assert admin.apply(1, "process").durability == "process"
    assert admin.apply(1, None).durability == "fsync"
    with pytest.raises(TopicsError, match="EXCHANGE_PARTITIONS=1"):
        admin.apply(2, None)
