"""`exchange sessions cancel` against an API in a thread."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.ports import free_port
from services.admin import sessions
from services.cli.__main__ import app

KEY = "the-admin-key-of-this-test"


class Gateway:
    """Answers each call with the next of `answers`; the last one is repeated."""

    def __init__(self, url: str, answers: list[tuple[int, dict[str, object]]]) -> None:
        self.url = url
        self.answers = answers
        self.calls: list[tuple[str, str | None, Any]] = []


@contextmanager
def gateway(*answers: tuple[int, dict[str, object]]) -> Iterator[Gateway]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.calls.append((self.path, self.headers["Authorization"], body))
            status, answer = served.answers.pop(0)
            served.answers = served.answers or [(status, answer)]
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Gateway(f"http://127.0.0.1:{server.server_port}", list(answers))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pauses, and a data directory with the admin key and without an exchange."""
    monkeypatch.setattr(sessions, "_REPEAT_S", 0.0)
    monkeypatch.setenv("EXCHANGE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("EXCHANGE_ADMIN_KEY", raising=False)
    (tmp_path / "admin-key").write_text(KEY + "\n")


def cancel(url: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["sessions", "cancel", "desk", "--url", url, *more])


def state(sent: int, is_open: int) -> tuple[int, dict[str, object]]:
    return 200, {"gateway": "desk", "sent": sent, "open": is_open}


def test_call_is_repeated_until_no_order_is_open() -> None:
    with gateway(state(500, 600), state(100, 300), state(0, 4), state(0, 0)) as served:
        result = cancel(served.url)
    assert (result.exit_code, result.stdout) == (
        0,
        "gateway desk: 600 orders cancelled, none is open\n",
    )
    wanted = ("/admin/sessions/cancel", f"Bearer {KEY}", {"gateway": "desk"})
    assert served.calls == [wanted] * 4


def test_orders_that_stay_open_are_an_error() -> None:
    with gateway(state(3, 3), state(0, 2)) as served:
        result = cancel(served.url, "--wait", "0")
    assert result.exit_code == 3
    assert "3 orders are still open" in result.stderr
    assert len(served.calls) == 1


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(401, 11), (422, 11), (503, 3)],
)
def test_refusal_is_printed_with_its_status(status: int, exit_code: int) -> None:
    with gateway((status, {"code": "why"})) as served:
        result = cancel(served.url)
    assert result.exit_code == exit_code
    assert f"answered {status}: " in result.stderr
    assert "why" in result.stderr


def test_gateway_that_does_not_answer_and_what_is_no_url_are_errors() -> None:
    result = cancel(f"http://127.0.0.1:{free_port()}")
    assert (result.exit_code, "does not answer" in result.stderr) == (3, True)
    result = cancel("file:///etc/hosts")
    assert (result.exit_code, "is not the URL" in result.stderr) == (2, True)


def test_admin_key_is_needed(tmp_path: Path) -> None:
    (tmp_path / "admin-key").unlink()
    result = cancel("http://127.0.0.1:1")
    assert (result.exit_code, "EXCHANGE_ADMIN_KEY" in result.stderr) == (2, True)
