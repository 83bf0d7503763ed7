"""Arrival times of messages of the feeds at their clients, and the times of the records of their
outcomes: the difference is the time from an outcome to its event."""

import asyncio
import json
import time
from contextlib import closing
from typing import Any, Final

import msgspec
from aiohttp import ClientSession, ClientTimeout, WSMsgType
from msgspec import Struct

from schemas import ids
from schemas.topics import EXECUTIONS
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.settings import Settings

# A command, by partition and offset.
Place = tuple[int, int]
OWN: Final = "own event"
FLUSHED: Final = "public change"
RAW: Final = "raw"
# Brokers whose own events are followed, and symbols at raw pace.
BROKERS: Final = 10
RAW_SYMBOLS: Final = 50


class _Named(Struct):
    """Fields of a message that name its command."""

    type: str
    partition: int = 0
    command_offset: int = 0
    trade_id: str = ""


_decode = msgspec.json.Decoder(_Named).decode


class Arrivals(Struct):
    """Follows own events of some brokers, and trades of the symbols at both paces."""

    url: str
    api_keys: tuple[str, ...]
    symbols: tuple[str, ...]
    _http: Any = None
    _tasks: Any = None
    _found: Any = None

    async def begin(self) -> None:
        """Open the connections."""
        self._http = ClientSession(timeout=ClientTimeout(total=None), trust_env=False)
        self._found = {OWN: [], FLUSHED: [], RAW: []}
        public = {"op": "subscribe", "id": 1, "channel": "trades"}
        raw = public | {"symbols": self.symbols[:RAW_SYMBOLS], "interval": "raw"}
        feeds = [(OWN, key, {"op": "subscribe", "id": 1, "channel": "orders"})
                 for key in self.api_keys[:BROKERS]]  # fmt: skip
        feeds += [(FLUSHED, self.api_keys[0], public | {"symbols": "*"})]
        feeds += [(RAW, self.api_keys[0], raw)]
        sockets = [await self._opened(key, wish) for _, key, wish in feeds]
        self._tasks = [
            asyncio.create_task(self._follow(socket, self._found[kind]))
            for socket, (kind, _, _) in zip(sockets, feeds, strict=True)
        ]

    async def _opened(self, key: str, wish: dict[str, Any]) -> Any:
        socket = await self._http.ws_connect(self.url + "/ws", max_msg_size=0)
        for message in ({"op": "login", "id": 0, "key": key}, wish):
            await socket.send_str(json.dumps(message))
        return socket

    @staticmethod
    async def _follow(socket: Any, found: list[tuple[Place, int]]) -> None:
        async for message in socket:
            now_us = time.time_ns() // 1_000
            if message.type is WSMsgType.TEXT:
                told = _decode(message.data)
                if told.type == "order":
                    found.append(((told.partition, told.command_offset), now_us))
                elif told.type == "trade":
                    found.append((place_of_trade(told.trade_id), now_us))

    async def end(self) -> dict[str, list[tuple[Place, int]]]:
        """Place and microseconds of each arrival, by kind."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()
        found: dict[str, list[tuple[Place, int]]] = self._found
        return found


def place_of_trade(trade_id: str) -> Place:
    """The command of a trade, by its id; the partition is where an order id has it."""
    return int(trade_id[15:18], 16), ids.place_of(trade_id)[0]


def stored_us(settings: Settings, partitions: int) -> dict[Place, int]:
    """Time of each outcome's record. It has milliseconds, so times from it are up to one too
    long."""
    found: dict[Place, int] = {}
    prefix, kafka = settings.topic_prefix, kafka_access(settings)
    for number in range(partitions):
        valid = ExecutionFilter({number: FilterPosition()}, lambda *_: None)
        where = Partition(EXECUTIONS.full_name(prefix), number)
        with closing(LogReader(kafka, where)) as log:
            for record in log.records():
                batch = valid.accept(number, record.offset, record.value)
                for command in range(len(batch.outcomes) if batch else 0):
                    place = (number, (batch.first_command if batch else 0) + command)
                    found[place] = record.timestamp * 1_000
    return found


def delays_us(arrived: list[tuple[Place, int]], stored: dict[Place, int]) -> list[int]:
    """Microseconds from each outcome to the arrival of its message."""
    return [max(0, at - stored[place]) for place, at in arrived if place in stored]
