"""The table descriptions compared with the migrations and the SQL of the services."""

import re
from pathlib import Path

import pytest

from schemas.tables import SCHEMA_VERSION, TABLES
from services.sink import migrate
from services.sink.migrate import read_migrations

ROOT = Path(__file__).parents[3]
COLUMN = re.compile(
    r"^\s*([a-z_]+)\s+(?:uuid|text|bigint|integer|numeric|boolean|timestamptz|jsonb)"
)
CREATE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*?)\n\)", re.DOTALL)
ALTER = re.compile(r"ALTER TABLE (\w+)\s+(ADD COLUMN .*?);", re.DOTALL)
# Modules with SQL, and the roles that run it.
SQL_MODULES = {
    "services/reader/archive.py": ("reader", "gateway"),
    "services/reader/database_views.py": ("reader", "gateway"),
    "services/sink/store.py": ("sink",),
    "services/webhooks/store.py": ("webhooks",),
    "services/webhooks/deliveries.py": ("gateway",),
    "services/audit/database.py": ("operator",),
    "services/audit/webhooks.py": ("operator",),
}


def migrated() -> dict[str, set[str]]:
    """The columns of each table after all migrations."""
    sql = "\n".join(migration.sql for migration in read_migrations())
    columns = {
        name: {found[1] for line in body.splitlines() if (found := COLUMN.match(line))}
        for name, body in CREATE.findall(sql)
    }
    for name, changes in ALTER.findall(sql):
        columns[name] |= set(re.findall(r"ADD COLUMN (\w+)", changes))
    return columns


def test_every_table_and_column_of_the_migrations_is_described() -> None:
    described = {
        table.name: set(table.columns) for table in TABLES if table.name != "schema_migrations"
    }
    assert described == migrated()


def test_table_of_migrations_is_described() -> None:
    (table,) = (table for table in TABLES if table.name == "schema_migrations")
    source = Path(migrate.__file__).read_text(encoding="utf-8")
    statement = source[source.index("schema_migrations (") :].split("connection.execute")[0]
    made = re.findall(r"(\w+) (?:integer|text|timestamptz)\b", statement)
    assert tuple(made) == table.columns


def test_schema_version_is_the_newest_migration() -> None:
    assert read_migrations()[-1].version == SCHEMA_VERSION


def test_tables_and_their_columns_are_described_once() -> None:
    names = [table.name for table in TABLES]
    assert names == sorted(set(names))
    for table in TABLES:
        assert len(table.columns) == len(set(table.columns)), table.name


def test_readers_of_columns_name_columns_of_the_table() -> None:
    for table in TABLES:
        for role, columns in table.readers.items():
            assert set(columns) <= set(table.columns), (table.name, role)


@pytest.mark.parametrize("module", SQL_MODULES)
def test_tables_in_the_sql_of_a_service_list_its_roles(module: str) -> None:
    source = (ROOT / module).read_text(encoding="utf-8")
    used = re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE|COPY)\s+(\w+)", source)
    described = {table.name: table for table in TABLES}
    assert described.keys() & set(used)
    for name in described.keys() & set(used):
        table = described[name]
        for role in SQL_MODULES[module]:
            assert role in table.readers or role in table.writers, (name, role)
