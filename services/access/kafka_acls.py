"""Roles on Kafka: users with SCRAM passwords, and their ACLs.

1. `_set_passwords` 2. `_set_rules`: add missing ACLs, remove superfluous ones. 3. `_wait` until
every user can log in, because brokers learn of changes later. Safe to repeat.
"""

import time
from collections.abc import Mapping

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from msgspec import Struct

from schemas.roles import ROLES, Role
from services.runtime.errors import AccessError
from services.runtime.kafka.admin import ATTEMPT_S, RETRY_S, TIMEOUT_S, call_with_retry
from services.runtime.kafka.client_config import KafkaAccess

# Kafka's minimum. More iterations would only hinder guessing, which 256 random bits exclude.
ITERATIONS = 4_096
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}


class Changed(Struct, frozen=True):
    """Number of ACLs added and removed for a user."""

    user: str
    added: int
    removed: int


def apply_to_kafka(
    admin: KafkaAccess, topic_prefix: str, passwords: Mapping[str, str]
) -> list[Changed]:
    """Set users and ACLs of every role, `passwords` by role. Raises AccessError,
    UnavailableError."""
    roles = [role for role in ROLES if role.kafka]
    _set_passwords(admin, {role.user(topic_prefix): passwords[role.name] for role in roles})
    changed = [_set_rules(admin, role, topic_prefix) for role in roles]
    for role in roles:
        user = role.user(topic_prefix)
        _wait(KafkaAccess(admin.servers, user, passwords[role.name], ca=admin.ca))
    return changed


def rules_of(role: Role, topic_prefix: str) -> set[AclBinding]:
    """A role's ACLs as Kafka's client takes them."""
    return {
        AclBinding(
            _RESOURCES[right.resource],
            right.full_name(topic_prefix),
            ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL,
            f"User:{role.user(topic_prefix)}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for right in role.kafka
        for operation in right.operations
    }


def _set_passwords(admin: KafkaAccess, passwords: Mapping[str, str]) -> None:
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, how, password.encode())
        for user, password in passwords.items()
    ]

    def alter(client: AdminClient) -> None:
        futures = client.alter_user_scram_credentials(wanted, request_timeout=ATTEMPT_S)
        for future in futures.values():
            future.result()

    call_with_retry(admin, alter)


def _set_rules(admin: KafkaAccess, role: Role, topic_prefix: str) -> Changed:
    wanted = rules_of(role, topic_prefix)
    user = role.user(topic_prefix)
    # None matches any name, although the stubs require one.
    held = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]
        ResourcePatternType.ANY,
        f"User:{user}",
        None,  # type: ignore[arg-type]
        AclOperation.ANY,
        AclPermissionType.ANY,
    )

    def describe(client: AdminClient) -> set[AclBinding]:
        return set(client.describe_acls(held, request_timeout=ATTEMPT_S).result())

    present = call_with_retry(admin, describe)
    missing, extra = wanted - present, present - wanted

    def alter(client: AdminClient) -> None:
        if missing:
            for future in client.create_acls(list(missing), request_timeout=ATTEMPT_S).values():
                future.result()
        if extra:
            filters = [_exactly(rule) for rule in extra]
            for deleted in client.delete_acls(filters, request_timeout=ATTEMPT_S).values():
                deleted.result()

    call_with_retry(admin, alter)
    deadline = time.monotonic() + TIMEOUT_S
    while call_with_retry(admin, describe) != wanted and time.monotonic() < deadline:
        time.sleep(RETRY_S)
    return Changed(user, len(missing), len(extra))


def _exactly(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )


def _wait(user: KafkaAccess) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            call_with_retry(user, lambda client: client.list_topics(timeout=ATTEMPT_S))
        except AccessError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_S)
        else:
            return
