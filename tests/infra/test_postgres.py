"""The local PostgreSQL: readiness, kept rows, stable port and password, complete removal."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.errors import FolderBusyError, ServerFailedError
from infra.ports import is_free
from infra.postgres import LocalPostgres
from infra.process_table import descendants, is_running
from infra.unprivileged import prefix_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")


@pytest.fixture(scope="module")
def shared_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    database = LocalPostgres(tmp_path_factory.mktemp("shared") / "postgres")
    yield database
    database.kill()


@pytest.fixture
def postgres(shared_database: LocalPostgres) -> LocalPostgres:
    """The shared database, restarted if the previous test stopped it."""
    if not shared_database.alive:
        shared_database.start()
    return shared_database


def query(url: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, connect_timeout=5) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


def port_of(database: LocalPostgres) -> int:
    return int(database.url.rpartition(":")[2].partition("/")[0])


def test_postgres_when_killed_and_started_keeps_rows_and_url(postgres: LocalPostgres) -> None:
    url = postgres.url
    query(url, "CREATE TABLE survivor AS SELECT 7 AS n")
    tree = [postgres.process.pid, *descendants(postgres.process.pid)]
    assert len(tree) > 1

    postgres.kill()
    assert not any(is_running(pid) for pid in tree)
    assert (postgres.data_dir / "cluster" / "postmaster.pid").exists()
    postgres.start()

    assert postgres.url == url
    assert query(url, "SELECT n FROM survivor") == [(7,)]


def test_postgres_when_stopped_leaves_no_process_and_no_port(postgres: LocalPostgres) -> None:
    tree = [postgres.process.pid, *descendants(postgres.process.pid)]
    url = postgres.url

    postgres.stop()

    assert postgres.process.exit_code == 0
    assert not any(is_running(pid) for pid in tree)
    assert is_free(port_of(postgres))
    # A new object keeps the password and, because it is still free, the port.
    with LocalPostgres(postgres.data_dir) as next_run:
        assert next_run.url == url


def test_postgres_when_the_stale_pid_is_another_programs_starts(postgres: LocalPostgres) -> None:
    pid_file = postgres.data_dir / "cluster" / "postmaster.pid"
    content = pid_file.read_text().splitlines()
    postgres.kill()
    # A new process may have reused the pid. This one is alive, and PostgreSQL could signal it.
    pid_file.write_text("\n".join([str(os.getppid()), *content[1:]]) + "\n")

    postgres.start()

    assert query(postgres.url, "SELECT 1") == [(1,)]


def test_postgres_when_its_creation_was_interrupted_starts_over(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir(mode=0o700)
    (cluster / "PG_VERSION").write_text("18\n")
    (cluster / "base").mkdir()

    with LocalPostgres(tmp_path) as database:
        assert query(database.url, "SELECT 1") == [(1,)]


def test_postgres_keeps_its_password_from_others(postgres: LocalPostgres) -> None:
    password_file = postgres.data_dir / "password"
    password = password_file.read_text()
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert not (postgres.data_dir / "password.initdb").exists()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(postgres.url.replace(password, "guessed"), "SELECT 1")


def test_postgres_when_its_password_is_lost_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "initialized").touch()
    postgres = LocalPostgres(tmp_path)

    with pytest.raises(ServerFailedError, match=r"password cannot be read .* will be filled again"):
        postgres.start()


def test_postgres_when_paused_answers_nothing_until_resumed(postgres: LocalPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        postgres.pause()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres.url, connect_timeout=2)

        postgres.resume()

        row = connection.execute("SELECT 1").fetchone()
        assert row is not None


def test_create_database_when_it_exists_keeps_it(postgres: LocalPostgres) -> None:
    url = postgres.create_database("one more")
    query(url, "CREATE TABLE kept AS SELECT 7 AS n")

    assert postgres.create_database("one more") == url
    assert query(url, "SELECT n FROM kept") == [(7,)]


def test_postgres_when_its_folder_is_owned_refuses_and_harms_nothing(
    postgres: LocalPostgres,
) -> None:
    with pytest.raises(FolderBusyError, match="another data directory"):
        LocalPostgres(postgres.data_dir).start()
    with pytest.raises(ServerFailedError, match="runs already"):
        postgres.start()

    assert query(postgres.url, "SELECT 1") == [(1,)]


@needs_root
@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_postgres_for_root_in_a_private_folder_runs_unprivileged(
    tmp_path: Path, owner: str
) -> None:
    account = pwd.getpwnam(owner)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    cluster = private / "postgres" / "cluster"
    cluster.mkdir(parents=True, mode=0o700)
    # A cluster directory owned by an account runs under that account, even with namespaces.
    os.chown(cluster, account.pw_uid, account.pw_gid)

    with LocalPostgres(private / "postgres") as database:
        query(database.url, "CREATE TABLE kept AS SELECT 7 AS n")
        # Outside the namespace the process belongs to root; without namespaces, to an account.
        uid = Path(f"/proc/{database.process.pid}").stat().st_uid
        assert uid == cluster.stat().st_uid
        assert account.pw_uid in (0, uid)
        database.kill()
        database.start()
        assert query(database.url, "SELECT n FROM kept") == [(7,)]
    shutil.rmtree(private)


@needs_root
@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_program_in_a_private_folder_is_found_by_the_unprivileged_user(
    tmp_path: Path, owner: str
) -> None:
    account = pwd.getpwnam(owner)
    private = tmp_path / "private"
    (private / "data").mkdir(parents=True)
    private.chmod(0o700)
    program = private / "program"
    # As initdb looks for `postgres` beside itself.
    program.write_text(f"#!{sys.executable}\nimport os\nprint(os.access(__file__, os.X_OK))\n")
    program.chmod(0o755)
    os.chown(private / "data", account.pw_uid, account.pw_gid)
    prefix = prefix_for(program, private / "data")
    assert subprocess.check_output([*prefix, program], text=True) == "True\n"
    assert subprocess.check_output([*prefix, "id", "-u"], text=True) != "0\n"


def test_postgres_ignores_variables_that_name_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"PGSSLMODE": "require", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "no such service"}
    for name, value in (others | {"PGOPTIONS": "-c no_such_setting=1"}).items():
        monkeypatch.setenv(name, value)
    with LocalPostgres(tmp_path) as database:
        assert query(database.url, "SELECT 7") == [(7,)]
