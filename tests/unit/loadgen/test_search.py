"""The capacity search finds the largest scale that the exchange sustains."""

import pytest

from loadgen.search import NEAR, Search


def search(limit: float, start: float = 25, most: float = 3_200) -> tuple[Search, list[float]]:
    found = Search(start, most)
    tried: list[float] = []
    while (scale := found.next) is not None:
        tried.append(scale)
        assert len(tried) < 50
        found.tried(scale, held=scale <= limit)
    return found, tried


@pytest.mark.parametrize("limit", [1, 7, 10, 25, 26, 99, 320, 1_000])
def test_search_finds_the_largest_scale_and_repeats_each_decisive_trial(limit: float) -> None:
    found, tried = search(limit)
    assert found.found is not None
    assert limit / NEAR**2 < found.found <= limit
    assert tried[-1] == found.found
    assert all(tried.count(scale) == 2 for scale in tried if scale > limit or scale == found.found)


def test_search_ends_at_its_upper_bound() -> None:
    found, tried = search(10_000, most=100)
    assert (found.found, max(tried)) == (100, 100)


def test_search_without_a_sustained_scale_finds_none() -> None:
    found, tried = search(0)
    assert found.found is None
    assert tried == sorted(tried, reverse=True)


def replay(found: Search, outcomes: dict[float, list[bool]]) -> list[tuple[float, bool]]:
    tried = []
    while (scale := found.next) is not None:
        tried.append((scale, found.repeats))
        found.tried(scale, held=outcomes[scale].pop(0))
    return tried


def test_search_whose_best_fails_its_repeat_goes_lower() -> None:
    found = Search(100, 150)
    tried = replay(
        found,
        {
            100.0: [True, True],
            150.0: [True, False, False],
            122.0: [True, False, False],
            135.0: [False, False],
            110.0: [False, False],
        },
    )
    assert tried == [
        (100, False), (150, False), (150, True), (150, True), (122, False), (135, False),
        (135, True), (122, True), (122, True), (110, False), (110, True), (100, True),
    ]  # fmt: skip
    assert found.found == 100


def test_search_continues_from_a_step_that_passes_its_second_trial() -> None:
    found = Search(100, 150)
    tried = replay(found, {100.0: [False, True], 150.0: [True, False, True]})
    assert tried == [(100, False), (100, True), (150, False), (150, True), (150, True)]
    assert found.found == 150
