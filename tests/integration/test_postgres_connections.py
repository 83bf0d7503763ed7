"""Session settings on a real server take precedence over defaults of server and database."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from infra.postgres import LocalPostgres
from services.runtime.errors import SettingsError, UnavailableError
from services.runtime.postgres.connection import connect, connect_async
from services.runtime.postgres.pool import PostgresPool
from services.sink.migrate import migrate, require_migrated
from services.sink.store import Store
from services.webhooks.store import WebhookStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    running = LocalPostgres(tmp_path_factory.mktemp("postgres"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def url(server: LocalPostgres) -> str:
    return server.create_database(f"connections_{uuid.uuid4().hex[:12]}")


def change(url: str, statement: str) -> None:
    """Execute a statement that names the database as `this`."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statement.replace("this", connection.info.dbname).encode())


def shown(connection: psycopg.Connection, name: str) -> tuple[str, str]:
    """A setting's value, and what set it."""
    row = connection.execute(
        "SELECT setting, source FROM pg_settings WHERE name = %s", [name]
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_session_settings_override_defaults_of_the_database(url: str) -> None:
    migrate(url)
    for setting in (
        "datestyle = 'SQL, DMY'",
        "timezone = 'America/Sao_Paulo'",
        # Long enough for the statement that overrides it, also on a busy machine.
        "statement_timeout = '5s'",
        "default_transaction_isolation = 'serializable'",
    ):
        change(url, f"ALTER DATABASE this SET {setting}")

    async def begun() -> None:
        store = await WebhookStore.open(url)
        try:
            await store.begin()
            assert await store.claim([]) == []
        finally:
            await store.close()

    async def settings() -> tuple[str, str]:
        """The date style, and the time limit of statements, of a pool's connection."""
        pool = PostgresPool(url, read_only=True)
        await pool.open()

        async def question(connection: psycopg.AsyncConnection) -> tuple[str, str]:
            row = await (
                await connection.execute(
                    "SELECT current_setting('datestyle'), current_setting('statement_timeout')"
                )
            ).fetchone()
            assert row is not None
            return str(row[0]), str(row[1])

        try:
            return await pool.ask(question)
        finally:
            await pool.close()

    asyncio.run(begun())
    date_style, statement_timeout = asyncio.run(settings())
    assert date_style.startswith("ISO")
    assert statement_timeout != "5s"
    with closing(Store(url)) as store:
        assert store.positions(1).keys() == {0}


def test_session_settings_are_made_after_connecting(url: str) -> None:
    """A pooler refuses the startup parameter `options`."""
    with closing(connect(url, {"statement_timeout": "7000"})) as connection:
        assert shown(connection, "statement_timeout") == ("7000", "session")
        assert not connection.info.get_parameters().get("options")


def test_options_of_the_url_are_kept(url: str) -> None:
    change(url, "CREATE SCHEMA exchange")
    in_schema = f"{url}?options=-csearch_path%3Dexchange"
    migrate(in_schema)
    require_migrated(in_schema)
    with closing(Store(in_schema)) as store:
        assert store.positions(1).keys() == {0}

    async def begun() -> None:
        store = await WebhookStore.open(in_schema)
        await store.begin()
        await store.close()

    asyncio.run(begun())
    with closing(connect(in_schema)) as connection:
        assert shown(connection, "search_path")[0] == "exchange"


def test_session_encoding_ignores_that_of_the_environment(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with closing(connect(url)) as connection:
        assert connection.execute("SELECT %s::text", ["\N{SNOWMAN}"]).fetchone() == ("\N{SNOWMAN}",)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_database_of_another_encoding_is_refused(
    server: LocalPostgres, url: str, encoding: str
) -> None:
    name = f"encoded_{uuid.uuid4().hex[:12]}"
    change(url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    other = server.create_database(name)
    for use in (connect, migrate, Store, lambda it: asyncio.run(connect_async(it))):
        with pytest.raises(SettingsError, match=encoding):
            use(other)


def test_command_on_a_read_only_database_fails_with_the_reason(url: str) -> None:
    change(url, "ALTER DATABASE this SET default_transaction_read_only = on")
    with pytest.raises(UnavailableError, match="read-only"):
        migrate(url)
