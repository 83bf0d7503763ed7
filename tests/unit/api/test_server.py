"""The listening socket of the API."""

import socket

import pytest

from services.api.server import listen


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux only")
def test_request_does_not_wait_behind_silent_connections() -> None:
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        silent = [socket.create_connection(address) for _ in range(3)]
        listener.settimeout(10)
        with socket.create_connection(address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            connection, peer = listener.accept()
            with connection:
                assert peer == client.getsockname()
                assert connection.recv(3) == b"GET"
        for each in silent:
            each.close()
