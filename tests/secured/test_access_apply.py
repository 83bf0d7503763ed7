"""`exchange access apply` on existing servers: users, rights and passwords, and its error messages.

It gives the same rights as `exchange run` and keeps the passwords in the data directory.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from infra.broker import ADMIN
from services.access.credentials import as_role
from services.local.child_environment import environment
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings
from services.sink.migrate import migrate, require_migrated
from tests.support.exchange import Exchange

PREFIX = "byhand."


@pytest.fixture
def settings(secured: Exchange, tmp_path: Path) -> Settings:
    """Settings of an administrator of both servers; the database has no tables yet."""
    return Settings(
        kafka=secured.bootstrap,
        kafka_user=ADMIN,
        kafka_password=secured.kafka.admin_password,
        kafka_mechanism="PLAIN",
        database_url=secured.postgres.create_database(tmp_path.name),
        data_dir=tmp_path / "data",
        topic_prefix=PREFIX,
    )


def applied(settings: Settings) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "access", "apply"],
        env=environment(os.environ, settings, {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_apply_creates_working_users_and_is_idempotent(
    settings: Settings,
) -> None:
    migrate(settings.database_url)
    first = applied(settings)
    assert first.returncode == 0, first.stderr
    assert f"{PREFIX}matcher: 27 rules added, 0 removed" in first.stdout
    assert f"PostgreSQL  {PREFIX}sink" in first.stdout

    operator, sink = as_role(settings, "operator"), as_role(settings, "sink")
    TopicsAdmin(kafka_access(operator), PREFIX).apply(1, "process")
    TopicsAdmin(kafka_access(sink), PREFIX).verify()
    require_migrated(sink.database_url)

    again = applied(settings)
    assert f"{PREFIX}matcher: 0 rules added, 0 removed" in again.stdout
    for role in ("operator", "sink"):
        password = (settings.data_dir / "access" / role).read_text().strip()
        assert password not in first.stdout + first.stderr + again.stdout


def test_apply_after_a_password_file_was_deleted_sets_a_new_password(
    settings: Settings,
) -> None:
    only_kafka = structs.replace(settings, database_url="")
    assert applied(only_kafka).returncode == 0
    file = settings.data_dir / "access" / "operator"
    former = file.read_text()
    file.unlink()
    assert applied(only_kafka).returncode == 0
    assert file.read_text() != former
    TopicsAdmin(kafka_access(as_role(settings, "operator")), PREFIX).apply(1, "process")


def test_apply_as_an_ordinary_user_is_forbidden(secured: Exchange, settings: Settings) -> None:
    ordinary = secured.stack.operator
    done = applied(
        structs.replace(
            settings,
            kafka_user=ordinary.kafka_user,
            kafka_password=kafka_access(ordinary).password,
            kafka_mechanism=ordinary.kafka_mechanism,
        )
    )
    assert done.returncode == 12
    assert done.stderr.startswith("exchange: Kafka forbids user operator")
    assert len(done.stderr.splitlines()) == 1
    only_postgres = structs.replace(settings, kafka="", database_url=ordinary.database_url)
    done = applied(only_postgres)
    assert done.returncode == 12
    assert done.stderr.startswith("exchange: PostgreSQL forbids")


def test_apply_without_tables_or_servers_names_what_is_missing(settings: Settings) -> None:
    done = applied(structs.replace(settings, kafka=""))
    assert done.returncode == 7
    assert "run: python -m services.sink --migrate" in done.stderr
    done = applied(structs.replace(settings, kafka="", database_url=""))
    assert done.returncode == 2
    assert "EXCHANGE_KAFKA, EXCHANGE_DATABASE_URL" in done.stderr
