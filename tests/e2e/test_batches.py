"""Batches through every process of the exchange: their order in the command log."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from conformance.api import Api
from schemas import ids
from schemas.codec import UnreadableError, decode_command
from schemas.commands import CancelOrder, Command, PlaceOrder
from schemas.topics import COMMANDS
from tests.support.exchange import Exchange

BATCHES = 12
BROKERS = 4


def order_of(symbol: str, client_order_id: str) -> dict[str, Any]:
    return {
        "document_number": "1",
        "side": "bid",
        "symbol": symbol,
        "quantity": 1,
        "price": 1,
        "client_order_id": client_order_id,
    }


def batches_of(broker: Api, name: str, symbols: list[str], draw: random.Random) -> list[str]:
    """Send random batches one after the other; return what should be in the log, in order."""
    expected: list[str] = []
    resting: list[str] = []
    for batch in range(BATCHES):
        items: list[Any] = []
        for number in range(draw.randint(1, 100)):
            if resting and draw.random() < 0.3:
                expected.append(resting.pop(draw.randrange(len(resting))))
                items.append({"cancel": {"order_id": expected[-1]}})
            else:
                expected.append(f"{name}-{batch}-{number}")
                items.append({"place": order_of(draw.choice(symbols), expected[-1])})
        headers = {"Prefer": "wait=10"}
        answer = broker.call("POST", "/orders/batch", {"items": items}, headers)
        assert answer.status == 200, answer
        results = answer.body["results"]
        wanted = [201 if "place" in item else 204 for item in items]
        assert [result["status"] for result in results] == wanted
        resting += [result["order"]["order_id"] for result in results if "order" in result]
    return expected


def names_of(command: Command) -> list[str]:
    """The name under which a command is expected; none for those of other kinds."""
    if isinstance(command, CancelOrder):
        return [command.order_id]
    return [command.client_order_id or ""] if isinstance(command, PlaceOrder) else []


def test_items_of_a_partition_are_in_the_log_in_the_order_given(exchange: Exchange) -> None:
    seed = random.randrange(2**32)
    symbols = [exchange.symbol() for _ in range(16)]
    brokers = [exchange.broker(f"Batches {number}") for number in range(BROKERS)]

    def send(number: int) -> list[str]:
        draw = random.Random(seed + number)
        return batches_of(brokers[number], f"{seed}-{number}", symbols, draw)

    with ThreadPoolExecutor(BROKERS) as pool:
        sent = list(pool.map(send, range(BROKERS)))
    partitions: dict[str, int] = {}
    logs: list[list[str]] = []
    for partition in range(len(exchange.log_ends())):
        log: list[str] = []
        for value in exchange.values(COMMANDS, partition):
            with suppress(UnreadableError):
                log += names_of(decode_command(value))
        partitions |= dict.fromkeys(log, partition)
        logs.append(log)
    assert len({partitions[each] for items in sent for each in items}) > 1
    for items in sent:
        for partition, log in enumerate(logs):
            wanted = [each for each in items if partitions[each] == partition]
            mine = set(wanted)
            assert [each for each in log if each in mine] == wanted, f"seed {seed}"


def test_order_ids_of_a_batch_name_their_partition(exchange: Exchange) -> None:
    broker, symbols = exchange.broker(), [exchange.symbol() for _ in range(20)]
    items = [{"place": order_of(symbol, f"c-{symbol}")} for symbol in symbols]
    answer = broker.call("POST", "/orders/batch", {"items": items}, {"Prefer": "wait=10"})
    for symbol, result in zip(symbols, answer.body["results"], strict=True):
        order = result["order"]
        assert order["symbol"] == symbol
        expected = broker.get(f"/stocks/{symbol}").body["partition"]
        assert ids.partition_of(order["order_id"]) == expected
        assert broker.order(order["order_id"]) == order
