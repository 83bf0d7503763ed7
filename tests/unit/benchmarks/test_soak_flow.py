"""Order flow of the soak test: repeatable, valid, in the proportions of a trading day."""

from collections import Counter

import pytest

from benchmarks.soak.flow import ORDERS_PER_CANCELS, VALID_MS, DayFlow, FlowRecord, market_of
from loadgen.commands import broker_id
from schemas.codec import decode_command, encode
from schemas.commands import CancelOrder, PlaceOrder
from schemas.executions import CommandRefused, OrderAccepted
from schemas.ids import created_ms, order_id, partition_of
from services.matcher.engine import Engine, EnginePosition

SEED = 5
NOW_MS = 1_800_000_000_000
PARTITIONS = 2
MARKET = market_of([broker_id(number) for number in range(100)], PARTITIONS)


def records_of(flow: DayFlow, count: int) -> list[tuple[int, FlowRecord]]:
    """Commands with their times, one per millisecond: about the rate of a trading day."""
    return [
        (now_ms, record)
        for now_ms in range(NOW_MS, NOW_MS + count)
        for record in flow.commands(1, now_ms)
    ]


def test_flow_of_one_seed_is_always_the_same() -> None:
    first = records_of(DayFlow(MARKET, 10_000, SEED), 3_000)
    assert records_of(DayFlow(MARKET, 10_000, SEED), 3_000) == first
    assert records_of(DayFlow(MARKET, 10_000, SEED + 1), 3_000) != first


def test_flow_records_equal_the_bytes_of_the_codec() -> None:
    for now_ms, record in records_of(DayFlow(MARKET, 10_000, SEED), 20_000):
        command = decode_command(record.value)
        assert encode(command) == record.value
        if isinstance(command, PlaceOrder):
            assert record.key == command.symbol.encode()
            assert MARKET.partitions[MARKET.symbols.index(command.symbol)] == record.partition
            random_bits = int(command.order_id[19:].replace("-", ""), 16)
            assert order_id(now_ms, record.partition, random_bits) == command.order_id
            assert command.client_order_id is not None
            if command.valid_until is not None:
                assert VALID_MS[0] <= command.valid_until - now_ms <= VALID_MS[1]
        else:
            assert record.key is None


def test_flow_cancels_refer_once_to_an_order_of_their_broker() -> None:
    placed: dict[str, str] = {}
    for now_ms, record in records_of(DayFlow(MARKET, 10_000, SEED), 30_000):
        command = decode_command(record.value)
        if isinstance(command, PlaceOrder):
            assert command.order_id not in placed
            placed[command.order_id] = command.broker_id
        elif isinstance(command, CancelOrder):
            assert placed.pop(command.order_id) == command.broker_id
            assert partition_of(command.order_id) == record.partition
            assert created_ms(command.order_id) <= now_ms


def test_flow_symbols_follow_their_weights_over_all_partitions() -> None:
    flow = DayFlow(MARKET, 10_000, SEED)
    counts = Counter(record.key for _, record in records_of(flow, 20_000) if record.key)
    assert counts[b"PETR4"] / flow.orders == pytest.approx(
        MARKET.weights[0] / sum(MARKET.weights), rel=0.1
    )
    assert set(MARKET.partitions) == set(range(PARTITIONS))


def test_flow_through_the_engine_has_the_ratios_of_a_trading_day_and_bounded_books() -> None:
    # Few symbols, so that this number of commands fills their books.
    flow = DayFlow(market_of(MARKET.brokers, PARTITIONS, symbols=40), 50_000, SEED)
    engines = [Engine(number) for number in range(PARTITIONS)]
    offsets = Counter[int]()
    refused = fills = 0
    opened = []
    for now_ms, record in records_of(flow, 60_000):
        at = EnginePosition(record.partition, offsets[record.partition], now_ms)
        offsets[record.partition] += 1
        event = engines[record.partition].apply(decode_command(record.value), at).event
        if isinstance(event, OrderAccepted):
            fills += len(event.fills)
        refused += isinstance(event, CommandRefused)
        if at.offset % 1_000 == 0:
            opened.append(sum(len(engine.open_orders) for engine in engines))
    placed, cancelled = ORDERS_PER_CANCELS
    assert flow.cancels / flow.orders == pytest.approx(cancelled / placed, rel=0.03)
    assert 0.12 < fills / flow.orders < 0.25
    assert refused / flow.cancels < 0.1
    # Every order with an expiry, a third of the flow, expires within twenty seconds.
    assert max(opened[len(opened) // 2 :]) < 1.1 * max(opened[: len(opened) // 2]) < 8_000
