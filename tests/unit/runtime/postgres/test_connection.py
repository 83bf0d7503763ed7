"""An invalid database URL is reported in one line without its password by every program."""

import os
import subprocess
import sys

import pytest

from services.runtime.errors import SettingsError
from services.runtime.postgres.connection import checked_url, connect
from services.runtime.postgres.pool import PostgresPool

WRONG = [
    "postgresql+psycopg://u:s3cret@h/db",
    "postgresql://u:s3cret@h:port/db",
    "postgresql://u:s3cret@h:99999/db",
    "postgresql://u:s3cret@h/db?no_such_option=1",
    "postgresql://u:s3c%ret@h/db",
    "u:s3cret@h/db",
]


@pytest.mark.parametrize("url", WRONG)
def test_invalid_url_raises_settings_error(url: str) -> None:
    for use in (checked_url, connect, lambda wrong: PostgresPool(wrong, read_only=True)):
        with pytest.raises(SettingsError, match="EXCHANGE_DATABASE_URL") as raised:
            use(url)
        assert "s3c" not in str(raised.value)
        assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@h/db",
        "postgres://h1:5432,h2:5433/db?options=-csearch_path%3Dx",
        "postgresql:///db",
        "host=h port=5432 dbname=db",
    ],
)
def test_valid_url_is_unchanged(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "command",
    [
        ("services.sink",),
        ("services.sink", "--migrate"),
        ("services.webhooks",),
        ("services.cli", "audit"),
    ],
)
def test_program_with_an_invalid_url_fails_with_one_line(command: tuple[str, ...]) -> None:
    environ = dict(os.environ) | {
        "EXCHANGE_DATABASE_URL": WRONG[0],
        "EXCHANGE_KAFKA": "127.0.0.1:1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "EXCHANGE_DATABASE_URL" in ended.stderr
    assert "s3cret" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
