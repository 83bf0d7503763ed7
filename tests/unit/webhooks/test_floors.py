"""Floors of looks for due webhooks, with the cost of what a long snapshot keeps."""

from collections.abc import Mapping
from itertools import pairwise

from services.webhooks.floors import EXTRA_S_MAX, FULL_LOOK_S, Floors

BROKERS = [f"b{number:03}" for number in range(300)]
# Of a look without dead entries.
USUAL_S = 0.01


class Looks:
    """Looks on a clock of their own. `dead_s`: time to walk over the dead entries of a broker."""

    def __init__(self, dead_s: float) -> None:
        self.floors = Floors()
        self.dead_s = dead_s
        self.now_s = 0.0
        # Of each broker the time of its full looks, and the durations of all looks.
        self.full_at: dict[str, list[float]] = {broker: [] for broker in BROKERS}
        self.took: list[float] = []

    def look(self, first_due: Mapping[str, str]) -> list[str]:
        """One look, and the pause behind it; the brokers that it looked at in full."""
        floors = self.floors.begin(self.now_s)
        full = [broker for broker in BROKERS if broker not in floors]
        took = USUAL_S + self.dead_s * len(full)
        self.now_s += took
        self.floors.end(self.now_s, first_due.items())
        self.took.append(took)
        for broker in full:
            self.full_at[broker].append(self.now_s)
        self.now_s += 0.05
        return full


def due(number: int) -> dict[str, str]:
    """The first due webhook of every broker."""
    return dict.fromkeys(BROKERS, f"{number:08}")


def test_full_look_takes_every_broker_at_short_intervals_where_nothing_is_dead() -> None:
    looks = Looks(0.0)
    for number in range(200):
        looks.look(due(number))
    for times in looks.full_at.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps[2:]) < 2 * FULL_LOOK_S


def test_long_snapshot_holds_no_look_up_for_long_and_every_broker_has_its_turn() -> None:
    looks = Looks(0.0)
    for number in range(100):
        looks.look(due(number))
    # Three seconds for all of them: the portion halves until it fits.
    looks.dead_s = 0.01
    for _ in range(2_000):
        looks.look(due(200))
    settled, begun_s = len(looks.took), looks.now_s
    while looks.now_s < begun_s + 60:
        looks.look(due(300))
    assert max(looks.took[settled:]) <= USUAL_S + EXTRA_S_MAX
    counts = [sum(at > begun_s for at in times) for times in looks.full_at.values()]
    assert min(counts) >= 1
    assert max(counts) - min(counts) <= 1


def test_portion_grows_again_once_the_snapshot_has_ended() -> None:
    looks = Looks(0.01)
    for number in range(2_000):
        looks.look(due(number))
    assert max(looks.took[-100:]) < 1
    looks.dead_s = 0.0
    assert any(len(looks.look(due(number))) == len(BROKERS) for number in range(200))


def test_broker_that_had_nothing_due_keeps_its_floor() -> None:
    floors = Floors()
    floors.begin(0.0)
    floors.end(0.0, [("a", "1"), ("b", "2")])
    assert floors.begin(FULL_LOOK_S) == {}
    floors.end(FULL_LOOK_S, [("b", "3")])
    assert floors.begin(FULL_LOOK_S) == {"a": "1", "b": "3"}


def test_one_slow_broker_has_its_full_looks_too() -> None:
    floors = Floors()
    floors.begin(0.0)
    floors.end(0.0, [("a", "1")])
    now_s = 0.0
    for _ in range(5):
        now_s += 100.0
        assert floors.begin(now_s) == {}
        floors.end(now_s + 4.0, [("a", "1")])
        assert floors.begin(now_s + 4.0 + 19.0) == {"a": "1"}
        floors.end(now_s + 23.0, [])
