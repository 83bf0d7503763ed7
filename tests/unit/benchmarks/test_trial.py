"""A trial runs its variants in turns and prints one row for each."""

from functools import partial

import pytest

from benchmarks.experiments.trial import Trial, Turn, print_table


def test_trial_turns_follow_the_given_order_in_every_round() -> None:
    ran: list[str] = []

    def variant(name: str, _: None) -> Turn:
        ran.append(name)
        return Turn([1], 1)

    trial = Trial[None](
        {name: partial(variant, name) for name in ("none", "a", "b")},
        turns=["none", "a", "none", "b"],
    )
    trial.warm_up(None, "none")
    found = trial.measure(None, rounds=2)

    assert ran == ["none", *["none", "a", "none", "b"] * 2]
    assert {name: turn.sent for name, turn in found.items()} == {"none": 4, "a": 2, "b": 2}


def test_sum_of_turns_has_all_their_measurements() -> None:
    added = Turn([3, 1], 2, 1, 0.5) + Turn([2], 1, 0, 0.25)

    assert added == Turn([3, 1, 2], 3, 1, 0.75)
    assert (added + Turn([4], 1)).cpu_s is None


def test_table_compares_each_variant_with_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    failed = print_table(
        "700/s", {"open": Turn([1_000] * 4, 4, 0, 0.004), "secured": Turn([3_000] * 4, 4, 1, 0.008)}
    )

    assert failed == 1
    assert [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()] == [
        "700/s open p50 1.0 ms (1.00 x open) p99 1.0 ms (1.00 x open) "
        "CPU 1000 us a request (1.00 x open) 4 of 4 succeeded",
        "700/s secured p50 3.0 ms (3.00 x open) p99 3.0 ms (3.00 x open) "
        "CPU 2000 us a request (2.00 x open) 3 of 4 succeeded",
    ]
