"""Clients without a valid key that do their worst, one kind at a time, for a bounded time.

`python -m benchmarks.experiments.stranger_clients KIND PORT METRICS_PORT SECONDS` is a separate
process with one thread per client, so that it takes no time from the load generator. It runs only
while a processor is idle, because real strangers use another machine: the benchmark measures their
effect on the exchange, not the processor time of the clients. Prints the number of their calls.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Final

CLIENTS: Final = 8
# Connections that a silent client holds open.
SILENT: Final = 100
TIMEOUT_S: Final = 5.0
SLOW_BYTE_S: Final = 0.05
_LOOPBACK: Final = "127.0.0.1"
_PAGES: Final = ("/openapi.json", "/docs", "/readyz", "/livez", "/nothing")


class StrangerTarget:
    """The ports of the exchange, and the moment at which the strangers end."""

    def __init__(self, port: int, metrics_port: int, seconds: float) -> None:
        self.port = port
        self.metrics_port = metrics_port
        self.calls = count(1)
        self._end_s = time.monotonic() + seconds

    @property
    def lasts(self) -> bool:
        """True until the end."""
        return time.monotonic() < self._end_s

    def called(self) -> None:
        """Count a call: a request, a connection or a byte of a body."""
        next(self.calls)

    def connect(self, port: int | None = None) -> socket.socket:
        """A new connection."""
        return socket.create_connection((_LOOPBACK, port or self.port), TIMEOUT_S)


def _request(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def _ask(target: StrangerTarget, requests: Iterator[bytes], port: int | None = None) -> None:
    """Requests one after the other on one connection, and on another when that is closed."""
    while target.lasts:
        try:
            with target.connect(port) as connection, connection.makefile("rb") as answers:
                while target.lasts:
                    connection.sendall(next(requests))
                    target.called()
                    length = 0
                    while (line := answers.readline()) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    if not line:
                        break
                    answers.read(length)
        except OSError:
            continue


def without_key(target: StrangerTarget) -> None:
    """A call that needs a key."""
    _ask(target, cycle([_request("/balance")]))


def wrong_key(target: StrangerTarget) -> None:
    """Another wrong key with each request."""
    _ask(target, (_request("/balance", f"Authorization: Bearer w{n}\r\n") for n in count()))


def pages(target: StrangerTarget) -> None:
    """Pages that need no key, and one that does not exist."""
    _ask(target, cycle([_request(path) for path in _PAGES]))


def metrics(target: StrangerTarget) -> None:
    """The metrics of the gateway, on their own port."""
    _ask(target, cycle([_request("/metrics")]), target.metrics_port)


def connections(target: StrangerTarget) -> None:
    """New connections, each with one request whose answer is not read."""
    while target.lasts:
        try:
            with target.connect() as connection:
                connection.sendall(_request("/balance"))
            target.called()
        except OSError:
            continue


def silent(target: StrangerTarget) -> None:
    """Connections that send nothing; those that the exchange closes are opened again."""
    held: list[socket.socket] = []
    while target.lasts:
        try:
            held.append(target.connect())
            target.called()
        except OSError:
            continue
        if len(held) > SILENT:
            held.pop(0).close()
    for connection in held:
        connection.close()


def slow_body(target: StrangerTarget) -> None:
    """Orders whose body comes byte by byte."""
    head = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n"
    while target.lasts:
        try:
            with target.connect() as connection:
                connection.sendall(head)
                while target.lasts:
                    connection.sendall(b" ")
                    target.called()
                    time.sleep(SLOW_BYTE_S)
        except OSError:
            continue


def computing(target: StrangerTarget) -> None:
    """Opens no connection: shows the cost of the same processor time used outside the exchange."""
    while target.lasts:
        sum(range(1_000))
        target.called()


KINDS: Final[dict[str, Callable[[StrangerTarget], None]]] = {
    "no key": without_key,
    "wrong key": wrong_key,
    "pages": pages,
    "metrics": metrics,
    "connections": connections,
    "silent": silent,
    "slow bodies": slow_body,
    "computing": computing,
}


def main(arguments: list[str]) -> int:
    """The exit code: 0 at the end of the time, 2 for wrong usage."""
    try:
        kind, port, metrics_port, seconds = arguments
        target = StrangerTarget(int(port), int(metrics_port), float(seconds))
        work = KINDS[kind]
    except (ValueError, KeyError):
        sys.stderr.write(f"{__doc__}\nkinds: {', '.join(KINDS)}\n")
        return 2
    _yield_processor()
    clients = [threading.Thread(target=work, args=[target]) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    sys.stdout.write(f"{(next(target.calls) - 1) / float(seconds):,.0f} calls a second\n")
    return 0


def _yield_processor() -> None:
    """Run only while a processor is idle, or, on other systems, with the lowest priority."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
