"""Topics and users in the Strimzi manifests match the services' topics and access rules."""

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from msgspec import structs

from infra.broker import LocalKafka
from infra.kubernetes.kafka_objects import TOPOLOGY
from schemas.roles import ROLES, Role
from services.access.kafka_acls import rules_of
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.topics import TopicsAdmin
from tests.infra.kubernetes.objects import objects

PREFIX = "strimzi."
# The names in Strimzi's documentation.
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Create": AclOperation.CREATE,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
    "Delete": AclOperation.DELETE,
}
PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefix": ResourcePatternType.PREFIXED}
RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}
USERS = {user["metadata"]["name"]: user for user in objects("KafkaUser")}


def rules(user: str) -> set[AclBinding]:
    """Access rules that Strimzi creates in Kafka for a user."""
    return {
        AclBinding(
            RESOURCES[rule["resource"]["type"]],
            rule["resource"]["name"],
            PATTERNS[rule["resource"]["patternType"]],
            f"User:{user}",
            rule.get("host", "*"),
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for rule in USERS[user]["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    }


@pytest.mark.parametrize("role", [role for role in ROLES if role.kafka], ids=lambda role: role.name)
def test_user_has_exactly_the_rights_of_its_role(role: Role) -> None:
    assert rules(role.name) == rules_of(role, TOPOLOGY.prefix)


def test_users_match_the_roles_with_kafka_rights() -> None:
    assert USERS.keys() == {role.name for role in ROLES if role.kafka}


def test_analyst_reads_public_topics_and_writes_nowhere() -> None:
    on_topics = {rule for rule in rules("analyst") if rule.restype == ResourceType.TOPIC}
    assert {(rule.name, rule.operation) for rule in on_topics} == {("market.", AclOperation.READ)}
    assert {rule.operation for rule in rules("analyst")} == {AclOperation.READ}


def test_topics_of_the_manifests_pass_the_check_of_the_services(kafka: LocalKafka) -> None:
    new = [
        NewTopic(
            PREFIX + each["metadata"]["name"],
            num_partitions=each["spec"]["partitions"],
            # The test has a single broker; the services' checks do not depend on the factor.
            replication_factor=1,
            config=each["spec"]["config"],
        )
        for each in objects("KafkaTopic")
    ]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.create_topics(new).values():
        future.result()
    found = TopicsAdmin(KafkaAccess(kafka.bootstrap_servers), PREFIX).verify()
    assert found == structs.replace(TOPOLOGY, prefix=PREFIX)
