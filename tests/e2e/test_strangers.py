"""Orders are accepted beside strangers of every kind, and the measurement of it reports each."""

import socket
import threading

import pytest

from benchmarks.experiments import stranger_clients, strangers
from benchmarks.experiments.stranger_clients import KINDS, StrangerTarget


@pytest.mark.timeout(240)
def test_orders_are_accepted_beside_strangers_of_every_kind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "WARM_UP_S", 1)
    exit_code = strangers.main(["--rate", "40", "--seconds", "1", "--rounds", "1"])
    rows = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]
    assert exit_code == 0, rows
    assert [row.split(" p50 ")[0] for row in rows] == [
        f"40/s {name}" for name in (strangers.CALM, *KINDS)
    ]


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"computing", "metrics"}))
def test_strangers_reach_the_port_and_end_in_time(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        target = StrangerTarget(port, port, 0.5)
        stranger = threading.Thread(target=KINDS[kind], args=[target])
        stranger.start()
        connection, _ = listener.accept()
        with connection:
            if kind == "silent":
                # Nothing until the client closes it.
                assert connection.recv(1) == b""
            else:
                assert connection.recv(100).startswith((b"GET /", b"POST /orders HTTP/1.1"))
        listener.close()
        stranger.join(5)
        assert not stranger.is_alive()


def test_unknown_kind_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert stranger_clients.main(["friends", "1", "2", "3"]) == 2
    assert "slow bodies" in capsys.readouterr().err
