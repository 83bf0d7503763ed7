"""The fault proxy in front of a real echo server: each fault, its end, and a clean close."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.fault_proxy import FaultProxy

WAIT_S = 5.0
SILENCE_S = 0.3


def echo(connection: socket.socket) -> None:
    with connection:
        try:
            while chunk := connection.recv(65_536):
                connection.sendall(chunk)
        except OSError:
            return


def serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=[connection], daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener], daemon=True)
        server.start()
        with FaultProxy(listener.getsockname()[1]) as running:
            yield running
        listener.shutdown(socket.SHUT_RDWR)
        server.join(WAIT_S)


def connected(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), WAIT_S)


def received(client: socket.socket, n_bytes: int) -> bytes:
    """Read `n_bytes` bytes, or fewer if the connection ends first."""
    got = b""
    while len(got) < n_bytes and (chunk := client.recv(n_bytes - len(got))):
        got += chunk
    return got


def check_echo(client: socket.socket, text: bytes = b"hello") -> None:
    client.sendall(text)
    assert received(client, len(text)) == text


def check_silent(client: socket.socket) -> None:
    client.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(WAIT_S)


def check_connections(proxy: FaultProxy, count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while proxy.connections != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_proxy_without_a_fault_forwards_everything(proxy: FaultProxy) -> None:
    with connected(proxy) as client, connected(proxy) as other:
        check_echo(client, b"x" * 100_000)
        check_echo(other)
        check_connections(proxy, 2)
    check_connections(proxy, 0)


def test_half_closed_connection_still_forwards_the_rest(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert received(client, 5) == b"last"


def test_cut_resets_old_and_new_until_healed(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        check_echo(client)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    check_connections(proxy, 0)
    with pytest.raises(ConnectionError), connected(proxy) as refused:
        refused.recv(1)
    proxy.heal()
    with connected(proxy) as client:
        check_echo(client)


def test_stall_holds_bytes_back_until_healed(proxy: FaultProxy) -> None:
    with connected(proxy) as old:
        check_echo(old)
        proxy.stall()
        with connected(proxy) as new:
            old.sendall(b"old")
            new.sendall(b"new")
            check_silent(old)
            check_silent(new)
            check_connections(proxy, 2)
            proxy.heal()
            assert received(old, 3) == b"old"
            assert received(new, 3) == b"new"


def test_delay_forwards_late_and_in_order(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        check_echo(client)
        proxy.delay(0.1)
        start = time.monotonic()
        for number in range(5):
            client.sendall(b"%d" % number)
        assert received(client, 5) == b"01234"
        # The delay applies once in each direction.
        assert time.monotonic() - start >= 0.2
        proxy.heal()
        check_echo(client)


def test_cut_after_lets_so_many_bytes_pass_and_resets(proxy: FaultProxy) -> None:
    proxy.cut_after(15)
    with connected(proxy) as client:
        check_echo(client)
        client.sendall(b"12345")
        with pytest.raises(ConnectionResetError):
            received(client, 6)
    check_connections(proxy, 0)
    proxy.heal()
    with connected(proxy) as client:
        check_echo(client, b"x" * 100)


@pytest.mark.parametrize("stalled", [False, True])
def test_close_leaves_no_connection_and_no_thread(proxy: FaultProxy, stalled: bool) -> None:
    with FaultProxy(proxy.port) as outer:
        client = connected(outer)
        check_connections(outer, 1)
        if stalled:
            outer.stall()
    with client, pytest.raises(ConnectionError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connected(outer)
    assert outer.connections == 0
    check_connections(proxy, 0)
    # Only the fixture's proxy remains.
    assert [t.name for t in threading.enumerate()].count("fault-proxy") == 1


def test_stranded_connection_stays_silent_while_a_new_one_flows(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        check_echo(client)
        proxy.strand()
        client.sendall(b"lost")
        check_silent(client)
        with connected(proxy) as other:
            check_echo(other)
        proxy.heal()
        check_silent(client)
