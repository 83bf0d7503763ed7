"""Repeats of a benchmark: points alternate, and an interruption keeps the complete values."""

import gc

import pytest

from benchmarks.micro.harness import (
    Benchmark,
    CurvePoint,
    Measurement,
    ns_each,
    run,
    with_service_gc,
)
from benchmarks.micro.report import Figure
from services.runtime.lifecycle import COLLECT_AFTER


def discard(_: str) -> None:
    """Discard the progress line."""


def test_points_alternate_within_every_repeat() -> None:
    order: list[int] = []

    def point(x: int) -> CurvePoint:
        def measure() -> list[Measurement]:
            order.append(x)
            return [Measurement("ours", float(len(order)), "ns")]

        return CurvePoint(x, measure)

    *_, figures = run(Benchmark([point(1), point(10)], "orders"), 3, discard)

    assert order == [1, 10] * 3
    assert [(f.x, f.samples) for f in figures] == [(1, [1.0, 3.0, 5.0]), (10, [2.0, 4.0, 6.0])]
    assert (figures[1].min, figures[1].median, figures[1].max) == (2.0, 4.0, 6.0)


def test_figures_are_ordered_by_series_as_first_measured_then_by_x() -> None:
    def measure() -> list[Measurement]:
        return [
            Measurement("b", 1.0, "ns"),
            Measurement("a", 1.0, "ns"),
            Measurement("b", 1.0, "us"),
        ]

    *_, figures = run(Benchmark([CurvePoint(2, measure), CurvePoint(1, measure)]), 1, discard)

    assert [(f.series, f.unit, f.x) for f in figures] == [
        ("b", "ns", 1),
        ("b", "ns", 2),
        ("a", "ns", 1),
        ("a", "ns", 2),
        ("b", "us", 1),
        ("b", "us", 2),
    ]


def test_repeats_before_a_failure_are_reported() -> None:
    left = iter([1.0, 2.0])

    def measure() -> list[Measurement]:
        value = next(left, None)
        if value is None:
            raise KeyboardInterrupt
        return [Measurement("ours", value, "ns")]

    found: list[list[Figure]] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(run(Benchmark([CurvePoint(None, measure)]), 5, discard))
    assert [one.samples for one in found[-1]] == [[1.0, 2.0]]


def test_time_is_measured_per_operation() -> None:
    assert 0 < ns_each(lambda: sum(range(1_000)), 1_000) < ns_each(lambda: sum(range(9_999)), 1)


def test_garbage_collector_is_set_as_in_services_and_restored() -> None:
    before = gc.get_threshold()
    gc.set_threshold(701, 11, 12)
    gc.unfreeze()
    try:
        with with_service_gc():
            assert gc.isenabled()
            assert gc.get_threshold() == COLLECT_AFTER
        assert gc.get_threshold() == (701, 11, 12)
        assert gc.get_freeze_count() == 0
    finally:
        gc.set_threshold(*before)
        gc.freeze()


def test_objects_that_were_frozen_before_stay_frozen() -> None:
    gc.freeze()
    with with_service_gc():
        pass
    assert gc.get_freeze_count() > 0
