"""The benchmark's receiver returns its complete list of webhooks, whatever its length."""

import socket

import pytest

from benchmarks.webhooks.receiver import running_receiver

# The ids alone exceed the capacity of a pipe.
WEBHOOKS = 20_000


# The caller waits for a receiver that is blocked on its pipe, so the time-out is short.
@pytest.mark.timeout(30)
def test_receiver_returns_a_list_larger_than_its_pipe() -> None:
    ids = [f"msg_{number:032}" for number in range(WEBHOOKS)]
    with running_receiver() as receiver:
        receiver.set_secrets(["whsec_" + "A" * 32])
        host, _, path = receiver.url(0).removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port)), timeout=30) as connection:
            for id_ in ids:
                head = f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nwebhook-id: {id_}\r\n"
                connection.sendall(head.encode() + b"Content-Length: 2\r\n\r\n{}")
                assert connection.recv(4_096).startswith(b"HTTP/1.1 200 ")
        first = receiver.received()
        again = receiver.received()
    assert first.ids == ids == again.ids
    assert (set(first.brokers), first.wrong) == ({0}, WEBHOOKS)
