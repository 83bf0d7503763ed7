"""Servers whose port another program takes after it was found free."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import broker, postgres
from infra.broker import LocalKafka
from infra.ports import LOOPBACK, free_port, port_to_use
from infra.postgres import LocalPostgres
from infra.process_table import listens


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server((LOOPBACK, free_port())) as listener:
        yield int(listener.getsockname()[1])


def first_taken(port: int) -> Callable[[int | None], int]:
    """`port_to_use` that finds a taken port free at its first call."""
    answers = iter([port])
    return lambda remembered: next(answers, None) or port_to_use(remembered)


def test_postgres_whose_port_was_taken_meanwhile_starts_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setattr(postgres, "port_to_use", first_taken(taken))
    with LocalPostgres(tmp_path) as server:
        assert f":{taken}/" not in server.url
        assert (tmp_path / "port").read_text() in server.url


def test_broker_whose_port_was_taken_meanwhile_starts_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setattr(broker, "port_to_use", first_taken(taken))
    with LocalKafka(tmp_path) as server:
        assert server.bootstrap_servers != f"{LOOPBACK}:{taken}"


def test_listener_of_another_process_is_not_taken_for_that_of_a_server(taken: int) -> None:
    assert listens(os.getpid(), taken)
    assert not listens(os.getppid(), taken)
    assert not listens(os.getpid(), free_port())
