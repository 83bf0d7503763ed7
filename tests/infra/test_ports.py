"""Port allocation: ports are free, remain free, and are reused where possible."""

import os
import socket
from pathlib import Path

from infra.ports import LOOPBACK, free_port, is_free, port_to_use
from infra.process_table import listens


def test_free_port_lies_outside_the_range_for_outgoing_connections() -> None:
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(free_port() < first_ephemeral for _ in range(50))


def test_free_ports_of_a_process_are_distinct_before_anything_listens_on_them() -> None:
    ports = [free_port() for _ in range(1_000)]

    assert len(set(ports)) == len(ports)


def test_port_to_use_when_remembered_and_free_is_kept() -> None:
    port = free_port()

    assert port_to_use(port) == port


def test_port_to_use_when_taken_is_another() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, free_port()))
        taken.listen()
        port = int(taken.getsockname()[1])

        assert not is_free(port)
        assert listens(os.getpid(), port)
        assert port_to_use(port) != port
