"""Accepting in portions: a flood leaves turns of the loop to others, and no connection is lost."""

import asyncio
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest
import uvloop

from services.api import acceptor
from services.api.acceptor import SEEN_MAX, TAKEN_MAX, Acceptor

CLIENTS = 5 * TAKEN_MAX


open_transports: list[asyncio.WriteTransport] = []


class Greeting(asyncio.Protocol):
    """Writes one byte to a new connection, and counts them."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Greeting.made += 1
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(b"x")
        open_transports.append(self._transport)


@contextmanager
def listening(clients: int) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """A listening socket with so many connections that wait to be accepted."""
    Greeting.made = 0
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as listener:
        address = listener.getsockname()
        opened = [socket.create_connection(address, 5) for _ in range(clients)]
        try:
            yield listener, opened
        finally:
            for client in opened:
                client.close()


def accept(listener: socket.socket, watch: Callable[[], Awaitable[None]]) -> None:
    """Run an acceptor for the socket until `watch` ends."""

    async def scenario() -> None:
        running = Acceptor(listener, Greeting)
        try:
            await asyncio.wait_for(watch(), 10)
        finally:
            running.close()
            await running.wait_closed()
            for transport in open_transports:
                transport.close()
            open_transports.clear()

    uvloop.run(scenario())


def test_connections_that_wait_are_taken_in_portions_until_none_is_left() -> None:
    portions: list[int] = []

    async def watch() -> None:
        while Greeting.made < CLIENTS:
            before = Greeting.made
            await asyncio.sleep(0)
            portions.append(Greeting.made - before)

    with listening(CLIENTS) as (listener, clients):
        accept(listener, watch)
        assert [client.recv(1) for client in clients] == [b"x"] * CLIENTS
    assert 0 < max(portions) <= TAKEN_MAX


def test_flood_of_closed_connections_gets_no_protocols_and_the_open_one_behind_it_does() -> None:
    with listening(2 * SEEN_MAX) as (listener, clients):
        for client in clients:
            client.close()
        with socket.create_connection(listener.getsockname(), 5) as open_one:

            async def watch() -> None:
                loop = asyncio.get_running_loop()
                assert await loop.run_in_executor(None, open_one.recv, 1) == b"x"

            accept(listener, watch)
    # The first portion was taken before it counted as a flood.
    assert Greeting.made == TAKEN_MAX + 1


def test_client_that_closed_only_its_own_half_is_answered() -> None:
    with listening(1) as (listener, [client]):
        client.shutdown(socket.SHUT_WR)

        async def watch() -> None:
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, client.recv, 1) == b"x"

        accept(listener, watch)


def test_connection_is_accepted_later_when_no_file_was_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acceptor, "ERROR_PAUSE_S", 0.01)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def watch() -> None:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            client.connect(listener.getsockname())
            await asyncio.sleep(0.05)
            assert Greeting.made == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, client.recv, 1) == b"x"

    with listening(0) as (listener, _), socket.socket() as client:
        accept(listener, watch)
