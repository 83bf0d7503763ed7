"""Turns of members: each has one in every interval, and they are spread evenly."""

import random
from collections import Counter

import pytest

from services.feeds.rota import TURNS, Rota

INTERVAL_S = 5.0
STEP_S = INTERVAL_S / TURNS


@pytest.mark.parametrize("seed", range(5))
def test_each_member_is_due_once_in_every_interval_at_any_pace(seed: int) -> None:
    rng, rota = random.Random(seed), Rota[int](INTERVAL_S)
    now_s = 1_000.0
    last_s: dict[int, float] = {}
    for number in range(3_000):
        step_s = rng.choice((0.01, STEP_S, 0.13, 2.0 if number % 100 == 0 else 0.1))
        now_s += step_s
        if rng.random() < 0.2:
            rota.add(number)
            last_s[number] = now_s
        if last_s and rng.random() < 0.15:
            gone = rng.choice(list(last_s))
            rota.remove(gone)
            del last_s[gone]
        due = rota.due(now_s)
        assert len(due) == len(set(due))
        for member in due:
            last_s[member] = now_s
        late_s = max((now_s - each for each in last_s.values()), default=0.0)
        assert late_s <= INTERVAL_S + step_s


def test_members_that_come_at_once_have_different_turns() -> None:
    rota = Rota[int](INTERVAL_S)
    for number in range(20 * TURNS):
        rota.add(number)
    # The turns of those that go are filled first.
    for number in range(0, 20 * TURNS, 4):
        rota.remove(number)
    for number in range(5 * TURNS):
        rota.add(-number - 1)
    rota.due(0.0)
    sizes = Counter(len(rota.due((number + 0.5) * STEP_S)) for number in range(1, TURNS + 1))
    assert sizes == {20: TURNS}


def test_late_call_has_every_member_once() -> None:
    rota = Rota[int](INTERVAL_S)
    for number in range(100):
        rota.add(number)
    assert sorted(rota.due(7.0)) == list(range(100))
    assert rota.due(7.0) == []
    assert sorted(rota.due(7.0 + 10 * INTERVAL_S)) == list(range(100))
