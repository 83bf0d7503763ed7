"""TCP proxy in front of a Kafka broker that refuses the commits of transactions on demand."""

import asyncio
import contextlib

from services.runtime.kafka.client_config import KafkaAccess
from tests.support.fault_proxy import Connection, FaultProxy

_END_TXN = 26
# From this version on a request has tagged fields, which this proxy does not write.
_FLEXIBLE_VERSION = 3
_INVALID_TXN_STATE = 48


class RefusingProxy(FaultProxy):
    """Forwards to a broker; clients use it for everything, because it replaces its address."""

    def __init__(self, bootstrap_servers: str) -> None:
        host, port = bootstrap_servers.rsplit(":", 1)
        super().__init__(int(port), host)
        self.access = KafkaAccess(f"{host}:{self.port}")
        self.refused = 0
        self._real = host.encode() + int(port).to_bytes(4)
        self._own = host.encode() + self.port.to_bytes(4)
        self._refusals = 0
        self._carried_out = False
        # The correlation ids of commits whose answers are replaced, by connection.
        self._replaced: set[tuple[Connection, bytes]] = set()

    def refuse_commits(self, count: int, *, carried_out: bool) -> None:
        """Answer the next commits with INVALID_TXN_STATE, with or without carrying them out."""
        self._carried_out = carried_out
        self._refusals = count

    async def _pump(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        client = connection.writers[0]
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
                if writer is client:
                    _forward(client, self._answer(connection, frame))
                elif not self._is_refused(frame):
                    _forward(writer, frame)
                else:
                    self.refused += 1
                    self._refusals -= 1
                    if self._carried_out:
                        self._replaced.add((connection, frame[4:8]))
                        _forward(writer, frame)
                    else:
                        _forward(client, _refusal(frame[4:8]))
                await writer.drain()

    def _answer(self, connection: Connection, frame: bytes) -> bytes:
        place = (connection, frame[:4])
        if place in self._replaced:
            self._replaced.remove(place)
            return _refusal(frame[:4])
        return frame.replace(self._real, self._own)

    def _is_refused(self, frame: bytes) -> bool:
        if not self._refusals or int.from_bytes(frame[:2]) != _END_TXN:
            return False
        assert int.from_bytes(frame[2:4]) < _FLEXIBLE_VERSION, frame
        # The last field says whether the transaction commits.
        return frame[-1] == 1


def _forward(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(len(frame).to_bytes(4) + frame)


def _refusal(correlation_id: bytes) -> bytes:
    throttle_ms = 0
    return correlation_id + throttle_ms.to_bytes(4) + _INVALID_TXN_STATE.to_bytes(2)
