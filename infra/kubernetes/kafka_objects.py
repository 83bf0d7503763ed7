"""Topics and users as Strimzi's objects, from the tables that the services use. Pure.

Strimzi's operators create these objects and revert manual changes. So the topics must be exactly
those that `TopicsAdmin.verify` requires, and the users have the rights of `exchange access show`.
"""

from infra.kubernetes.manifests import Manifest
from schemas.roles import ROLES, Operation, Resource, Role
from schemas.topics import TOPICS
from schemas.topology import Topology, config_of

API = "kafka.strimzi.io/v1"
# Name of the Kafka object; Strimzi derives those of services and secrets from it.
CLUSTER = "kafka"
# Partitions of the topics keyed by symbol, and so the number of matchers. It never changes.
TOPOLOGY = Topology(prefix="", partitions=4, durability="replicated")
REPLICAS = 3
_OPERATIONS: dict[Operation, str] = {
    "read": "Read",
    "write": "Write",
    "describe": "Describe",
    "describe_configs": "DescribeConfigs",
    "create": "Create",
    "alter_configs": "AlterConfigs",
    "delete": "Delete",
}
_RESOURCES: dict[Resource, str] = {
    "topic": "topic",
    "group": "group",
    "transactional_id": "transactionalId",
}
_Resource = tuple[Resource, str, bool]


def topics() -> list[Manifest]:
    """One KafkaTopic for each topic of the exchange."""
    return [
        _object(
            "KafkaTopic",
            TOPOLOGY.name(topic),
            {
                "partitions": TOPOLOGY.partitions_of(topic),
                "replicas": REPLICAS,
                "config": config_of(topic, TOPOLOGY.durability),
            },
        )
        for topic in TOPICS
    ]


def users() -> list[Manifest]:
    """One KafkaUser for each role that Kafka knows; Strimzi makes a secret of the same name."""
    return [
        _object(
            "KafkaUser",
            role.user(TOPOLOGY.prefix),
            {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": _rules(role)},
            },
        )
        for role in ROLES
        if role.kafka
    ]


def _rules(role: Role) -> list[Manifest]:
    """One for each resource, with everything that any right allows there."""
    allowed: dict[_Resource, set[Operation]] = {}
    for right in role.kafka:
        name = right.full_name(TOPOLOGY.prefix)
        allowed.setdefault((right.resource, name, right.prefixed), set()).update(right.operations)
    return [
        {
            "resource": {
                "type": _RESOURCES[resource],
                "name": name,
                "patternType": "prefix" if prefixed else "literal",
            },
            "operations": [text for key, text in _OPERATIONS.items() if key in operations],
        }
        for (resource, name, prefixed), operations in allowed.items()
    ]


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": spec,
    }
