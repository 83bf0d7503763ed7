"""`python -m services.runtime.healthcheck`: exit code 0 when this container's service is ready.

A health check runs it every few seconds, so it imports nothing that takes time to load.
"""

import os
import socket
import sys
from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
# Addresses to listen on, by the address to reach them at from this machine.
_EVERY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - not to listen on
# Time limit for `/readyz`: above a live service's answer time, below the health check's own limit.
TIMEOUT_S = 2.0
ANSWER_BYTES_MAX = 16 * 1024
_REQUEST = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def address_of(environ: Mapping[str, str]) -> tuple[str, int]:
    """Address and port of a service's health: of the metrics if it has a port, else of the API."""
    for name, default in (("METRICS_", 0), ("", 8000)):
        port = int(environ.get(f"EXCHANGE_{name}PORT") or 0) or default
        if port:
            break
    host = environ.get(f"EXCHANGE_{name}HOST") or LOOPBACK
    return _EVERY_ADDRESS.get(host, host), port


def ask(host: str, port: int) -> tuple[bool, str]:
    """True and the answer if the service is ready, else False and the answer. Raises OSError if
    it cannot be reached."""
    answer = b""
    with socket.create_connection((host, port), TIMEOUT_S) as connection:
        connection.sendall(_REQUEST)
        while len(answer) < ANSWER_BYTES_MAX and (part := connection.recv(4096)):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b" ")[1:2] == [b"200"], body.decode(errors="replace")


def main() -> int:
    """Exit code 0: ready; 1: not ready or not reachable. Docker keeps the printed answer."""
    host, port = address_of(os.environ)
    try:
        ready, words = ask(host, port)
    except OSError as error:
        ready, words = False, f"nothing answers on port {port}: {error}"
    sys.stdout.write(words + "\n")
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main())
