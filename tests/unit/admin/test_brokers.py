"""Registration by the command: the rules of the API, checked before Kafka is contacted."""

import os
import subprocess
import sys

import msgspec
import pytest

from services.admin.brokers import register_broker
from services.api.messages import ProblemError
from services.ingest.admission import admit_registration
from services.runtime.errors import RefusedError
from services.runtime.settings import Settings


@pytest.mark.parametrize(
    ("name", "webhook_url"),
    [
        ("", None),
        ("x" * 101, None),
        ("x\x00", None),
        ("X", "ftp://h/"),
        ("X", "http://h:0/"),
        ("X", "http://[::1/"),
        ("X", "http://h:99999/"),
        ("X", "http:///path"),
        ("X", "http://h/\n"),
        ("X", "http://h/ "),
    ],
)
def test_command_refuses_an_invalid_broker_with_the_message_of_the_api(
    name: str, webhook_url: str | None
) -> None:
    with pytest.raises(ProblemError) as by_api:
        admit_registration(msgspec.json.encode({"name": name, "webhook_url": webhook_url}))
    with pytest.raises(RefusedError) as by_command:
        register_broker(Settings(kafka="127.0.0.1:9"), name, webhook_url)
    for fault in by_api.value.errors or ():
        assert fault.detail in str(by_command.value)


def test_name_that_is_not_utf8_fails_with_one_line() -> None:
    arguments = [b"broker", b"register", b"Corretora \xc1gua"]
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env=os.environ | {"EXCHANGE_KAFKA": "127.0.0.1:9", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "exchange: name and webhook URL must be UTF-8: use a UTF-8 terminal"
    ]
