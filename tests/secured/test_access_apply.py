"""`exchange access apply` on servers of one's own: the same users and rights as `exchange run`
gives, with passwords kept in the data directory; and what it says when it may not, or cannot.
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
    """Those of who may give rights. The tables are not there yet."""
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


def test_apply_makes_users_that_can_do_their_work_and_is_safe_to_repeat(
    settings: Settings,
) -> None:
    migrate(settings.database_url)
    first = applied(settings)
    assert first.returncode == 0, first.stderr
    assert f"{PREFIX}matcher: 25 rules added, 0 removed" in first.stdout
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


def test_apply_to_a_role_whose_password_was_deleted_gives_it_a_new_one(
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


def test_apply_without_the_right_to_give_rights_changes_nothing(
    secured: Exchange, settings: Settings
) -> None:
    mere = secured.stack.operator
    done = applied(
        structs.replace(
            settings,
            kafka_user=mere.kafka_user,
            kafka_password=kafka_access(mere).password,
            kafka_mechanism=mere.kafka_mechanism,
        )
    )
    assert done.returncode == 12
    assert done.stderr.startswith("exchange: Kafka forbids user operator")
    assert len(done.stderr.splitlines()) == 1
    on_tables = structs.replace(settings, kafka="", database_url=mere.database_url)
    done = applied(on_tables)
    assert done.returncode == 12
    assert done.stderr.startswith("exchange: PostgreSQL forbids")


def test_apply_without_tables_or_servers_says_what_lacks(settings: Settings) -> None:
    done = applied(structs.replace(settings, kafka=""))
    assert done.returncode == 7
    assert "run: python -m services.sink --migrate" in done.stderr
    done = applied(structs.replace(settings, kafka="", database_url=""))
    assert done.returncode == 2
    assert "EXCHANGE_KAFKA, EXCHANGE_DATABASE_URL" in done.stderr
