"""Environment of a child process: secrets, locale, file modes and variables of the shell."""

import os
import stat
from pathlib import Path

import pytest
from msgspec import structs

from infra.environment import forget_postgres_variables, server_environment
from infra.errors import ServerFailedError
from infra.process import ChildProcess, run_tool
from infra.secrets import make_private_folder
from infra.servers import LocalServers
from schemas.roles import ROLE
from services.access.credentials import as_role, only_needed
from services.local.child_environment import environment
from services.local.exchange import LocalExchange
from services.local.signals import temporary_data_dir
from services.runtime.settings import Settings

ADMIN_KEY, KAFKA_PASSWORD, DATABASE_PASSWORD = "admin-key-of-test", "kafka-pw", "database-pw"
SETTINGS = Settings(
    kafka="k:1",
    kafka_user="u",
    kafka_password=KAFKA_PASSWORD,
    database_url=f"postgresql://u:{DATABASE_PASSWORD}@h/d",
    admin_key=ADMIN_KEY,
)


@pytest.mark.parametrize("role", sorted(ROLE))
@pytest.mark.parametrize("secured", [False, True])
def test_role_gets_only_the_secrets_that_it_uses(
    tmp_path: Path, role: str, *, secured: bool
) -> None:
    settings = structs.replace(SETTINGS, data_dir=tmp_path)
    made = as_role(settings, role) if secured else only_needed(settings, role)
    text = "\n".join(environment({}, made, {}).values())
    assert (ADMIN_KEY in text) == (role in {"gateway", "ingest"})
    assert (DATABASE_PASSWORD in text) == (bool(ROLE[role].postgres) and not secured)
    assert (KAFKA_PASSWORD in text) == (bool(ROLE[role].kafka) and not secured)


def test_server_has_no_settings_no_variables_of_libpq_and_a_utf8_locale() -> None:
    shell = {
        "PATH": "/bin",
        "EXCHANGE_ADMIN_KEY": ADMIN_KEY,
        "PGSSLMODE": "require",
        "PGP_HOME": "/keys",
        "LC_ALL": "POSIX",
        "LC_CTYPE": "pt_BR.ISO-8859-1",
        "LANG": "C",
    }
    expected = {"PATH": "/bin", "PGP_HOME": "/keys", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    assert server_environment(shell) == expected


def test_child_without_an_environment_and_tools_get_that_of_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGE_ADMIN_KEY", ADMIN_KEY)
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    monkeypatch.setenv("LC_ALL", "C")
    child = ChildProcess(["env"], log_file=tmp_path / "log")
    child.start()
    child.wait(10)
    for text in (child.tail_of_log(200), run_tool(["env"])):
        assert "LC_ALL=C.UTF-8" in text
        assert "EXCHANGE_" not in text
        assert "PGOPTIONS" not in text


def test_variables_of_libpq_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGP_HOME", "/keys")
    forget_postgres_variables()
    assert "PGSSLMODE" not in os.environ
    assert os.environ["PGP_HOME"] == "/keys"


def test_service_reads_paths_as_utf8() -> None:
    assert environment({"LC_ALL": "C"}, Settings(), {})["PYTHONUTF8"] == "1"


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_files_of_a_child_are_for_their_owner_only(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        log, made = tmp_path / "log", tmp_path / "made"
        child = ChildProcess(["sh", "-c", f"mkdir {made}; touch {made}/file"], log_file=log)
        child.start()
        child.wait(10)
    finally:
        os.umask(former)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (log, made, made / "file")]
    assert modes == [0o600, 0o700, 0o600]


@pytest.mark.parametrize("former", [None, 0o755, 0o777, 0o700])
def test_data_directory_is_made_private_or_tightened(tmp_path: Path, former: int | None) -> None:
    folder = tmp_path / "data"
    if former is not None:
        folder.mkdir()
        folder.chmod(former)
    make_private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_shared_folder_is_not_taken_as_data_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(ServerFailedError, match="is shared with other users: choose a folder"):
        make_private_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_temporary_data_directory_is_private() -> None:
    with temporary_data_dir() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("role", "has"), [("gateway", True), ("sink", True), ("webhooks", True), ("matcher", False)]
)
def test_password_of_libpq_reaches_only_services_that_use_postgres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, *, has: bool
) -> None:
    monkeypatch.setenv("PGPASSWORD", DATABASE_PASSWORD)
    settings = Settings(data_dir=tmp_path, database_url="postgresql://u@h/d", port=8000)
    servers = LocalServers(tmp_path, kafka="k:1", database_url=settings.database_url)
    child = LocalExchange(settings, servers)._child(role)
    assert child._env is not None
    assert ("PGPASSWORD" in child._env) is has
