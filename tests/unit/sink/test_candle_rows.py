"""Candles of a run of outcomes: boundaries, and equality with a naive fold of the trades."""

import pytest
from msgspec import structs

from schemas.candles import INTERVALS_MS, Candle, Interval
from schemas.executions import Outcome
from schemas.outcome_steps import trades_of
from services.runtime.kafka.execution_filter import Batch
from services.sink.rows import Rows
from tests.support.growing_market import slowed
from tests.support.market import batches, outcomes
from tests.support.reader_outcomes import ALICE, BOB, fill, limit
from tests.support.sizes import sized

MIDNIGHT = 1_794_960_000_000
Key = tuple[int, str, Interval, int]


def naive(flow: list[Batch]) -> dict[Key, Candle]:
    """Every candle from the list of its trades."""
    trades: dict[Key, list[tuple[int, int, int]]] = {}
    for batch in flow:
        for outcome in batch.outcomes:
            for trade in trades_of(outcome):
                each = trade.fill
                for interval, length in INTERVALS_MS.items():
                    start = outcome.time // length * length
                    key = batch.partition, trade.taker.symbol, interval, start
                    trades.setdefault(key, []).append((each.price, each.quantity, each.sequence))
    return {
        key: Candle(
            start=key[3],
            open=of[0][0],
            high=max(price for price, _, _ in of),
            low=min(price for price, _, _ in of),
            close=of[-1][0],
            volume=sum(quantity for _, quantity, _ in of),
            value=sum(price * quantity for price, quantity, _ in of),
            trades=len(of),
            first_sequence=of[0][2],
            last_sequence=of[-1][2],
        )
        for key, of in trades.items()
    }


def slow_market(partition: int, seed: int) -> list[Batch]:
    """A seeded market that lasts days, so that it has several candles of every interval."""
    flow = list(outcomes(partition, seed))
    begun = MIDNIGHT - flow[0].time
    later = [structs.replace(one, time=one.time + begun) for one in flow]
    return batches(partition, slowed(later, 9_000))


@pytest.mark.parametrize("seed", range(sized(1, 3)))
def test_candles_of_a_run_equal_the_fold_of_its_trades(seed: int) -> None:
    slow = slow_market(1, seed)
    rows = Rows()
    for batch in slow:
        rows.add(batch)
    found, wanted = rows.candles(), naive(slow)
    assert found == wanted, f"seed {seed}"
    assert {interval for _, _, interval, _ in found} == set(INTERVALS_MS)
    assert len([key for key in found if key[2] == "1d"]) > len({key[1] for key in found})


@pytest.mark.parametrize("interval", INTERVALS_MS)
def test_trade_at_the_boundary_belongs_to_the_new_candle(interval: Interval) -> None:
    flow = [limit(1, ALICE, "ask", 10, 7)]
    flow += [
        limit(
            1 + n, BOB, "bid", 1, 7, left=0, closed="filled", fills=(fill(n, 1, ALICE, 7, 1, 10),)
        )
        for n in (1, 2, 3)
    ]
    times = (MIDNIGHT - 9, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1)
    outcomes_ = tuple(Outcome(time, event) for time, event in zip(times, flow, strict=True))
    rows = Rows()
    rows.add(Batch(0, 0, outcomes_))
    found = [
        (start - MIDNIGHT, candle.trades)
        for (_, _, name, start), candle in sorted(rows.candles().items())
        if name == interval
    ]
    assert found == [(-INTERVALS_MS[interval], 1), (0, 2)]


def test_rows_without_a_trade_have_no_candles() -> None:
    rows = Rows()
    rows.add(Batch(0, 0, (Outcome(MIDNIGHT, limit(1, ALICE, "ask", 10, 7)),)))
    assert rows.candles() == {}
