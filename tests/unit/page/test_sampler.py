"""Samples of a second, and quantiles from cumulative buckets."""

import math
from functools import partial

import pytest

import services.page.sampler as sampler_module
from schemas.executions import Outcome, Ticked
from schemas.operations import StreamsState
from services.page.sampler import (
    SAMPLES_MAX,
    WINDOW_S,
    SecondSamples,
    age_ms,
    quantile_ms,
    streams,
)
from services.runtime.kafka.execution_filter import Batch
from services.runtime.metrics import (
    STREAM_BYTES,
    STREAM_CONFLATED,
    STREAM_SUBSCRIPTIONS,
    STREAMS,
    STREAMS_CUT,
)
from tests.support.reader_outcomes import ALICE, batch, cancelled, limit, refused


def test_quantile_is_the_bound_that_the_share_reaches() -> None:
    counts = {0.001: 5.0, 0.01: 9.0, 0.1: 10.0, math.inf: 10.0}
    assert quantile_ms(counts, 0.5) == 1.0
    assert quantile_ms(counts, 0.9) == 10.0
    assert quantile_ms(counts, 0.99) == 100.0


def test_quantile_is_null_without_answers_and_the_highest_bound_beyond_it() -> None:
    assert quantile_ms({0.001: 0.0, math.inf: 0.0}, 0.5) is None
    assert quantile_ms({}, 0.5) is None
    assert quantile_ms({0.001: 0.0, math.inf: 3.0}, 0.5) == 1.0


def test_sample_counts_what_was_applied_since_the_sample_before() -> None:
    sampler = SecondSamples()
    sampler.apply(Batch(0, 0, (Outcome(1, Ticked()), Outcome(2, Ticked()))))
    sampler.take(0.0123)
    sampler.take(0.0)
    first, second = sampler.samples
    assert (first.commands, first.trades, first.loop_delay_ms) == (2, 0, 12.3)
    assert first.outcome_age_ms is not None
    assert first.outcome_age_ms > 0
    assert (second.commands, second.outcome_age_ms) == (0, None)


def test_ages_of_ten_seconds_are_counted_by_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "now_ms", lambda: 10_000)
    sampler = SecondSamples()
    for age, outcomes in ((3, 90), (8, 9), (700, 1)):
        sampler.apply(Batch(0, 0, (Outcome(10_000 - age, Ticked()),) * outcomes))
    for _ in range(WINDOW_S + 1):
        sampler.take(0.0)
    ages = [
        (each.outcome_age_p50_ms, each.outcome_age_p99_ms, each.outcome_age_ms)
        for each in sampler.samples
    ]
    quiet = [(3, 8, None)] * (WINDOW_S - 1)
    assert ages == [(3, 8, 700), *quiet, (None, None, None)]


def test_age_is_the_lowest_that_the_share_does_not_exceed() -> None:
    assert age_ms({5: 1, 1: 1}, 0.5) == 1
    assert age_ms({5: 1, 1: 1}, 0.51) == 5
    assert age_ms({0: 3}, 0.99) == 0
    assert age_ms({}, 0.99) is None


def test_sample_counts_accepted_orders_and_cancels() -> None:
    sampler = SecondSamples()
    sampler.apply(
        batch(
            limit(1, ALICE, "bid", 10, 990, book=1),
            limit(2, ALICE, "bid", 10, 990, book=2),
            cancelled(1, ALICE, 10, book=3),
            refused(),
        )
    )
    sampler.take(0.0)
    (sample,) = sampler.samples
    assert (sample.commands, sample.orders, sample.cancels) == (4, 2, 1)


def test_sample_counts_bytes_to_live_connections_since_the_sample_before() -> None:
    sampler = SecondSamples()
    STREAM_BYTES.inc(500)
    sampler.take(0.0)
    sampler.take(0.0)
    assert [sample.stream_bytes for sample in sampler.samples] == [500, 0]


def test_streams_are_summed_over_channels_and_reasons() -> None:
    before = streams()
    STREAM_SUBSCRIPTIONS.labels("book").inc(2)
    STREAM_SUBSCRIPTIONS.labels("trades").inc()
    STREAM_CONFLATED.labels("book").inc(4)
    STREAMS_CUT.labels("slow").inc(5)
    now = streams()
    STREAM_SUBSCRIPTIONS.labels("book").dec(2)
    STREAM_SUBSCRIPTIONS.labels("trades").dec()
    assert now == StreamsState(before.subscriptions + 3, before.conflated + 4, before.cut + 5)


def test_samples_are_bounded() -> None:
    sampler = SecondSamples()
    for _ in range(SAMPLES_MAX + 5):
        sampler.take(0.0)
    assert len(sampler.samples) == SAMPLES_MAX


def test_sample_counts_live_connections_of_every_transport() -> None:
    sampler = SecondSamples()
    for transport, connections in (("websocket", 3), ("events", 4)):
        STREAMS.labels(transport).set_function(partial(int, connections))
    try:
        sampler.take(0.0)
    finally:
        STREAMS.clear()
    assert sampler.samples[-1].streams == 7
