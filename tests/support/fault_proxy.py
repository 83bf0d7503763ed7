"""TCP proxy on 127.0.0.1 that breaks the network between a client and a server on demand.

It runs an event loop in its own thread. The test's thread switches faults: cut, stalled
(half-open), late, or cut after a number of bytes; `heal` ends them all except `strand`, which
leaves the present connections half-open permanently.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from infra.ports import LOOPBACK, free_port

_CHUNK_BYTES = 65_536
# A call to the loop's thread takes microseconds; a longer one means that the loop is blocked.
_CALL_S_MAX = 10.0
# With a linger time of zero, closing a socket resets the connection.
_NO_LINGER = struct.pack("ii", 1, 0)


class Connection:
    """Writers to one client and, once connected, to its server."""

    def __init__(
        self, writer: asyncio.StreamWriter, budget: int | None, flowing: asyncio.Event
    ) -> None:
        self.writers = [writer]
        self.budget = budget
        self.flowing = flowing

    def reset(self) -> None:
        for writer in self.writers:
            open_socket = writer.get_extra_info("socket")
            if open_socket is not None and open_socket.fileno() >= 0:
                open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()

    def allowed(self, chunk: bytes) -> bytes:
        """Part of the chunk that the budget allows; reduces the budget."""
        if self.budget is None:
            return chunk
        passing = chunk[: self.budget]
        self.budget -= len(passing)
        return passing


class FaultProxy:
    """Forwards `port` to the target during the context. Every fault lasts until `heal`."""

    def __init__(self, target_port: int, target_host: str = LOOPBACK) -> None:
        self.port = free_port()
        self._target = (target_host, target_port)
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._delay_s = 0.0
        self._budget: int | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        try:
            listening = asyncio.start_server(self._accepted, LOOPBACK, self.port)
            self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(
                _CALL_S_MAX
            )
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_CALL_S_MAX)
        finally:
            self._end_loop()

    @property
    def connections(self) -> int:
        """Number of clients connected now."""
        return len(self._open)

    def cut(self) -> None:
        """Reset all present and new connections."""
        self._switch(self._cut)

    def stall(self) -> None:
        """Half-open: connections stay and new ones are accepted, but nothing is forwarded."""
        self._switch(self._flowing.clear)

    def strand(self) -> None:
        """Half-open: forward nothing on the present connections, permanently. New ones work."""
        self._switch(self._strand)

    def delay(self, seconds: float) -> None:
        """Forward each chunk this much later, in order."""
        self._switch(lambda: setattr(self, "_delay_s", seconds))

    def cut_after(self, n_bytes: int) -> None:
        """Reset each present or new connection after `n_bytes` more bytes in both directions."""
        self._switch(lambda: self._limit(n_bytes))

    def heal(self) -> None:
        """Forward everything again, including what was stalled."""
        self._switch(self._heal)

    def _switch(self, change: Callable[[], None]) -> None:
        """Make the change in the loop's thread, and wait for it."""

        async def changed() -> None:
            change()

        asyncio.run_coroutine_threadsafe(changed(), self._loop).result(_CALL_S_MAX)

    def _cut(self) -> None:
        self._refusing = True
        for task, connection in self._open.items():
            connection.reset()
            task.cancel()

    def _strand(self) -> None:
        for connection in self._open.values():
            connection.flowing = asyncio.Event()

    def _limit(self, budget: int | None) -> None:
        self._budget = budget
        for connection in self._open.values():
            connection.budget = budget

    def _heal(self) -> None:
        self._refusing = False
        self._delay_s = 0.0
        self._limit(None)
        self._flowing.set()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer, self._budget, self._flowing)
        if self._refusing:
            connection.reset()
            return
        task = self._loop.create_task(self._serve(connection, reader))
        self._open[task] = connection
        task.add_done_callback(self._open.pop)

    async def _serve(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        try:
            await connection.flowing.wait()
            answers, server = await asyncio.open_connection(*self._target)
            connection.writers.append(server)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(connection, reader, server))
                pumps.create_task(self._pump(connection, answers, connection.writers[0]))
            for writer in connection.writers:
                writer.close()
        except (OSError, ExceptionGroup):
            # One side has closed or failed: reset the other side too.
            connection.reset()
        except asyncio.CancelledError:
            # Only a cut or the end of the proxy cancels this task.
            connection.reset()

    async def _pump(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await connection.flowing.wait()
            writer.write(connection.allowed(chunk))
            await writer.drain()
            if connection.budget == 0:
                raise ConnectionResetError("the allowed bytes have been forwarded")
        await connection.flowing.wait()
        writer.write_eof()

    async def _close(self) -> None:
        self._server.close()
        tasks = list(self._open)
        self._cut()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S_MAX)
        self._loop.close()
