"""Rights on Kafka and PostgreSQL: every role tries every operation on every topic and table.

The expected rights are the tables in `docs/server-access.md`, which are not generated from the
roles. A right too many or too few fails with the new tables: review them, and copy them to the page
if they are right.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from msgspec import structs
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege

from conformance.api import eventually
from schemas.roles import ROLE, ROLES
from schemas.topics import COMMANDS, CONSUMER_GROUP, TOPICS
from services.access.credentials import apply_kafka_roles, apply_postgres_roles, as_role
from services.runtime.errors import AccessError
from services.runtime.kafka.admin import call_with_retry
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings
from services.sink.migrate import migrate
from tests.support.exchange import Exchange

TABLE = Path(__file__).parents[2] / "docs/server-access.md"
# A second exchange on the servers of a running one, so that no service reads what is written here.
PREFIX = "matrix."
TIMEOUT_S = 20.0
NO_ROLE = "no role"
ANOTHER = "another exchange's"
_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        # A request for a partition's end answers "unknown" for a topic that may not be seen.
        KafkaError._NOENT,
    }
)
HEAD = """# Access to Kafka and PostgreSQL

Every role of `exchange access show` with every topic and every table, tried on real servers by
`tests/secured/test_server_access.py`. Kafka: see (its end, its partitions), read, write,
configure, create, and delete (of records). PostgreSQL: with columns where a right covers only
these. All other access is refused.
"""


class KafkaUser:
    """Attempts of one user on topics; each returns True if it was allowed, and changes nothing."""

    def __init__(self, access: KafkaAccess, group: str) -> None:
        quiet = access.config() | {"log_level": 0}
        self._admin = AdminClient(quiet)
        self._consumer = Consumer(quiet | {"group.id": group, "enable.auto.commit": False})
        self._producer = Producer(quiet | {"message.timeout.ms": 10_000})

    def close(self) -> None:
        self._consumer.close()

    def see(self, topic: str) -> bool:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        at = TopicPartition(topic, 0)
        return self._allowed(lambda: self._admin.list_offsets({at: latest})[at].result(TIMEOUT_S))

    def read(self, topic: str) -> bool:
        # The client library neither fetches a topic that it may not see nor reports it.
        found = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        if found.error is not None:
            return _is_allowed(found.error)
        self._consumer.assign([TopicPartition(topic, 0, 0)])
        while True:
            message = self._consumer.poll(TIMEOUT_S)
            assert message is not None, f"{topic} returns no record"
            # A late message of the previous topic says nothing about this one.
            if message.topic() in (None, topic):
                return _is_allowed(message.error())

    def write(self, topic: str) -> bool:
        errors: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            errors.append(error)

        try:
            self._producer.produce(topic, b"an attempt", b"key", 0, on_delivery=delivered)
        except KafkaException as error:
            # The client knows the refusal already, from its metadata.
            return _is_allowed(error.args[0])
        assert self._producer.flush(TIMEOUT_S) == 0
        return _is_allowed(errors[0])

    def configure(self, topic: str) -> bool:
        entry = ConfigEntry("retention.ms", "1000000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        answer = self._admin.incremental_alter_configs([resource], validate_only=True)[resource]
        return self._allowed(lambda: answer.result(TIMEOUT_S))

    def create(self, topic: str) -> bool:
        # The topic exists; only a user who may create it receives that answer.
        answer = self._admin.create_topics([NewTopic(topic, 1, 1)], validate_only=True)[topic]
        return self._allowed(lambda: answer.result(TIMEOUT_S), KafkaError.TOPIC_ALREADY_EXISTS)

    def delete(self, topic: str) -> bool:
        # Offset 0: deletes nothing.
        at = TopicPartition(topic, 0, 0)
        answer = self._admin.delete_records([at])[at]
        return self._allowed(lambda: answer.result(TIMEOUT_S))

    @staticmethod
    def _allowed(attempt: Callable[[], object], *harmless: int) -> bool:
        try:
            attempt()
        except KafkaException as error:
            return error.args[0].code() in harmless or _is_allowed(error.args[0])
        return True


def _is_allowed(error: KafkaError | None) -> bool:
    """True without an error. Fails on any error other than a refusal."""
    assert error is None or error.code() in _REFUSED, error
    return error is None


ATTEMPTS: Mapping[str, Callable[[KafkaUser, str], bool]] = {
    "see": KafkaUser.see,
    "read": KafkaUser.read,
    "write": KafkaUser.write,
    "configure": KafkaUser.configure,
    "create": KafkaUser.create,
    "delete": KafkaUser.delete,
}


def settings_on(exchange: Exchange, data_dir: Path, prefix: str) -> Settings:
    """Settings of an exchange with this prefix on the servers of a running one."""
    return structs.replace(
        exchange.stack.settings,
        kafka=exchange.bootstrap,
        database_url=exchange.postgres.create_database("matrix"),
        data_dir=data_dir,
        topic_prefix=prefix,
    )


@pytest.fixture(scope="module")
def settings(secured: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an exchange with rights, tables and one record in each topic; no service runs."""
    data_dir = tmp_path_factory.mktemp("matrix")
    made = settings_on(secured, data_dir / "own", PREFIX)
    apply_kafka_roles(made, secured.access)
    TopicsAdmin(kafka_access(as_role(made, "operator")), PREFIX).apply(1, "process")
    writer = KafkaUser(secured.access, CONSUMER_GROUP)
    assert all(writer.write(topic.full_name(PREFIX)) for topic in TOPICS)
    writer.close()
    migrate(made.database_url)
    apply_postgres_roles(made, made.database_url)
    return made


@pytest.fixture(scope="module")
def another(secured: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of another exchange with rights on the same servers, and another database."""
    made = settings_on(secured, tmp_path_factory.mktemp("another"), "another.")
    apply_kafka_roles(made, secured.access)
    apply_postgres_roles(made, secured.database_url)
    return made


@pytest.fixture(scope="module")
def without_role(secured: Exchange) -> KafkaAccess:
    """Access of a user with a password that no access rule names."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    user = UserScramCredentialUpsertion("without-role", how, b"a password")

    def create(admin: AdminClient) -> None:
        admin.alter_user_scram_credentials([user])["without-role"].result(TIMEOUT_S)

    call_with_retry(secured.access, create)
    access = KafkaAccess(secured.bootstrap, "without-role", "a password")
    eventually("the password is accepted", lambda: _can_log_in(access))
    return access


def _can_log_in(access: KafkaAccess) -> bool:
    try:
        call_with_retry(access, lambda admin: admin.list_topics(timeout=3))
    except AccessError:
        return False
    return True


def attempts_of(access: KafkaAccess, group: str = CONSUMER_GROUP) -> str:
    """Cells of a row: the operations that this user may do on each topic."""
    with closing(KafkaUser(access, group)) as user:
        cells = [
            " ".join(
                name for name, attempt in ATTEMPTS.items() if attempt(user, topic.full_name(PREFIX))
            )
            for topic in TOPICS
        ]
    return " | ".join(cell or "-" for cell in cells)


def kafka_rows(settings: Settings, another: Settings, without_role: KafkaAccess) -> Iterator[str]:
    for role in ROLES:
        cells = " | ".join(["no user"] * len(TOPICS))
        if role.kafka:
            group = "research" if role.name == "analyst" else CONSUMER_GROUP
            cells = attempts_of(kafka_access(as_role(settings, role.name)), group)
        yield f"| {role.name} | {cells} |"
    yield f"| {NO_ROLE} | {attempts_of(without_role)} |"
    yield f"| {ANOTHER} matcher | {attempts_of(kafka_access(as_role(another, 'matcher')))} |"


Columns = Mapping[str, list[str]]
# Statements that change nothing: the tables are empty, and every attempt is rolled back.
_COLUMN_ATTEMPTS: Mapping[str, LiteralString] = {
    "select": "SELECT {column} FROM {table} LIMIT 0",
    "insert": "INSERT INTO {table} ({column}) VALUES (DEFAULT)",
    "update": "UPDATE {table} SET {column} = DEFAULT WHERE false",
}
_TABLE_ATTEMPTS: Mapping[str, LiteralString] = {
    "delete": "DELETE FROM {table} WHERE false",
    "truncate": "TRUNCATE {table}",
    "drop": "DROP TABLE {table}",
}
_OWN_ATTEMPTS: Mapping[str, LiteralString] = {
    "temporary": "CREATE TEMPORARY TABLE an_attempt ()",
    "lasting": "CREATE TABLE an_attempt ()",
}


def tried(connection: Connection, statement: LiteralString, **names: str) -> bool:
    """Execute and roll back a statement; True if allowed, even if it failed for another reason."""
    named = {name: sql.Identifier(text) for name, text in names.items()}
    try:
        connection.execute(sql.SQL(statement).format(**named))
    except InsufficientPrivilege:
        return False
    except (psycopg.IntegrityError, psycopg.DataError, psycopg.NotSupportedError):
        # Allowed: PostgreSQL checks rights before it raises any of these.
        return True
    finally:
        connection.rollback()
    return True


def rights_on(connection: Connection, table: str, columns: list[str]) -> str:
    found = []
    for what, statement in _COLUMN_ATTEMPTS.items():
        allowed = [c for c in columns if tried(connection, statement, table=table, column=c)]
        if allowed == columns:
            found.append(what)
        elif allowed:
            found.append(f"{what} ({', '.join(sorted(allowed))})")
    found += [w for w, text in _TABLE_ATTEMPTS.items() if tried(connection, text, table=table)]
    return "; ".join(found)


def tables_of(settings: Settings) -> Columns:
    with psycopg.connect(settings.database_url) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ).fetchall()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def postgres_rows(settings: Settings, another: Settings) -> Iterator[str]:
    tables = tables_of(settings)
    for role in ROLES:
        if not role.postgres:
            yield f"| {role.name} | - | no user |"
            continue
        with closing(psycopg.connect(as_role(settings, role.name).database_url)) as connection:
            for table, columns in tables.items():
                if rights := rights_on(connection, table, columns):
                    yield f"| {role.name} | {table} | {rights} |"
            if own := [name for name, text in _OWN_ATTEMPTS.items() if tried(connection, text)]:
                yield f"| {role.name} | new tables | {'; '.join(own)} |"
    elsewhere = conninfo_to_dict(settings.database_url)["dbname"]
    url = make_conninfo(as_role(another, "sink").database_url, dbname=elsewhere)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url)
    yield f"| {ANOTHER} sink | - | cannot connect |"


def test_every_role_has_exactly_the_documented_rights(
    settings: Settings, another: Settings, without_role: KafkaAccess
) -> None:
    lines = [
        HEAD,
        "| | " + " | ".join(topic.name for topic in TOPICS) + " |",
        "|---" * (len(TOPICS) + 1) + "|",
        *kafka_rows(settings, another, without_role),
        "",
        "| role | table | may |",
        "|---|---|---|",
        *postgres_rows(settings, another),
    ]
    tables = "\n".join(lines) + "\n"
    assert TABLE.read_text() == tables, f"new text of {TABLE.name}:\n{tables}"


def test_roles_on_postgres_have_scram_passwords_and_no_attributes(settings: Settings) -> None:
    with psycopg.connect(settings.database_url) as connection:
        attributes = connection.execute(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) AND (rolsuper OR"
            " rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)",
            [PREFIX],
        ).fetchall()
        kept = connection.execute(
            "SELECT rolname, left(rolpassword, 13) FROM pg_authid WHERE starts_with(rolname, %s)",
            [PREFIX],
        ).fetchall()
    assert attributes == []
    assert dict(kept) == {role.user(PREFIX): "SCRAM-SHA-256" for role in ROLES if role.postgres}


def test_rights_applied_again_change_nothing_and_revoke_added_rights(
    secured: Exchange, settings: Settings
) -> None:
    again = apply_kafka_roles(settings, secured.access)
    assert {(one.added, one.removed) for one in again} == {(0, 0)}
    rule = AclBinding(
        ResourceType.TOPIC,
        COMMANDS.full_name(PREFIX),
        ResourcePatternType.LITERAL,
        f"User:{ROLE['analyst'].user(PREFIX)}",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    call_with_retry(secured.access, lambda admin: admin.create_acls([rule])[rule].result(TIMEOUT_S))
    reader = as_role(settings, "reader")
    user = sql.Identifier(ROLE["reader"].user(PREFIX))
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(sql.SQL("GRANT DELETE ON orders TO {}").format(user))
    connection.close()

    changed = {
        one.user: (one.added, one.removed) for one in apply_kafka_roles(settings, secured.access)
    }
    apply_postgres_roles(settings, settings.database_url)

    assert changed.pop(ROLE["analyst"].user(PREFIX)) == (0, 1)
    assert set(changed.values()) == {(0, 0)}
    with closing(psycopg.connect(reader.database_url)) as connection:
        assert not tried(connection, "DELETE FROM orders WHERE false")
        assert tried(connection, "SELECT FROM orders LIMIT 0")
