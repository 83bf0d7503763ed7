"""Counts acknowledged orders that are missing after a kill -9 in the middle of a flow.

1. brokers and a flow, 2. kill everything while the flow continues, 3. start it again, 4. request
each acknowledged order by the id that its broker received.
"""

import asyncio
import os
from typing import Final

import aiohttp
import uvloop

from benchmarks.comparison.results import Losses
from benchmarks.comparison.systems import SystemUnderTest
from loadgen.client.client import Job, LoadClient
from loadgen.client.setup import SetupError, register, require_ready
from loadgen.workload.orderflow import plan
from loadgen.workload.profiles import B3, scaled

# Nearly the capacity of a slow design, and still enough orders to lose some before a flush.
SCALE: Final = 25.0
# Half of the flow, so that the kill happens under load.
KILL_AFTER_S: Final = 4
# A restart may load all orders from the database first.
READY_S: Final = 60.0
# A restarted system may need a moment; an order that is missing after this time counts as lost.
PATIENCE_S: Final = 20.0
# Keeps the queries after a restart from overloading the slowest design.
REQUESTS_AT_ONCE_MAX: Final = 16
_FOUND, _UNKNOWN = 200, 404
_ACKNOWLEDGED: Final = frozenset({200, 201, 202})
Acknowledged = tuple[str, str]


def losses(system: SystemUnderTest, kills: int) -> Losses:
    """Losses over `kills` kills. Raises SetupError, and the errors of a restart."""
    acknowledged = lost = 0
    for number in range(kills):
        acknowledged_orders = uvloop.run(_acknowledged_before_kill(system, number))
        system.restart()
        acknowledged += len(acknowledged_orders)
        lost += uvloop.run(_missing(system.url, acknowledged_orders))
    return Losses(kills, acknowledged, lost)


async def _acknowledged_before_kill(system: SystemUnderTest, number: int) -> list[Acknowledged]:
    """The key and the id of every order that was acknowledged before the kill."""
    require_ready(system.url, READY_S)
    flow = plan(scaled(B3, SCALE, 2 * KILL_AFTER_S), seed=number + 1)
    brokers = await register(system.url, system.admin_key, flow.profile.brokers)
    keys = tuple(broker.api_key for broker in brokers)
    client = LoadClient(Job(system.url, keys, tag=f"{os.urandom(4).hex()}-"), flow)
    sending = asyncio.create_task(client.run())
    await asyncio.sleep(KILL_AFTER_S)
    await asyncio.to_thread(system.kill)
    client.stop()
    await sending
    return [
        (keys[line.broker], line.answer.order_id)
        for line in client.records
        if line.operation == "order" and line.answer.status in _ACKNOWLEDGED
    ]


async def _missing(url: str, acknowledged_orders: list[Acknowledged]) -> int:
    connector = aiohttp.TCPConnector(limit=REQUESTS_AT_ONCE_MAX)
    async with aiohttp.ClientSession(connector=connector) as session:
        found = await asyncio.gather(
            *(_is_there(session, url, each) for each in acknowledged_orders)
        )
    return found.count(False)


async def _is_there(session: aiohttp.ClientSession, url: str, order: Acknowledged) -> bool:
    key, order_id = order
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while True:
        async with session.get(
            f"{url}/orders/{order_id}", headers={"Authorization": f"Bearer {key}"}
        ) as response:
            if response.status in (_FOUND, _UNKNOWN):
                return response.status == _FOUND
        if loop.time() > deadline:
            raise SetupError(f"GET /orders/{order_id} answers {response.status} after the kill")
        await asyncio.sleep(0.2)
