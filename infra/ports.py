"""Free TCP ports on 127.0.0.1 that stay free while a server is away."""

import itertools
import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
PORT_FIRST = 20_000
_ATTEMPTS_MAX = 200
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
# A server listens seconds after its port was chosen. Ports in a row from a random start are
# distinct within a process, and rarely those that another process chooses meanwhile.
_numbers = itertools.count(secrets.randbelow(1 << 16))


def listen_error(port: int, host: str = LOOPBACK) -> OSError | None:
    """The reason why a server cannot listen on this port of the address now; None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do: an old connection in TIME_WAIT is no obstacle, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            # Binding alone succeeds while another socket is bound and does not listen yet.
            probe.listen(1)
    except OSError as error:
        return error
    return None


def is_free(port: int) -> bool:
    """True if a server could listen on this port of the loopback address now."""
    return listen_error(port) is None


def url_of(host: str, port: int) -> str:
    """URL of an HTTP server that listens there, for clients on this machine."""
    loopback = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - not to listen on
    host = loopback.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def free_port() -> int:
    """A port below the kernel's range for outgoing connections.

    Inside that range a client that keeps trying to reconnect to a stopped server can be given the
    server's own port, connect to itself, and keep the server from ever coming back.
    """
    width = _first_ephemeral() - PORT_FIRST
    for _ in range(_ATTEMPTS_MAX if width > 0 else 0):
        port = PORT_FIRST + next(_numbers) % width
        if is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_to_use(remembered: int | None) -> int:
    """The port of the last run if it is still free, else a new one."""
    return remembered if remembered is not None and is_free(remembered) else free_port()


def _first_ephemeral() -> int:
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        return PORT_FIRST
