"""The sentence that names the stage that is behind."""

import pytest
from msgspec import structs

from schemas.operations import CheckState, PartitionState
from services.page.stages import verdict

WELL = PartitionState(0, 10, 10, 10, 0, 0.0, 0, 0.0, None)
READY = CheckState("log", True, "caught up")


@pytest.mark.parametrize(
    ("change", "checks", "stored_known", "behind", "sentence"),
    [
        ({}, [READY], True, None, "All stages keep up."),
        (
            {},
            [CheckState("log", False, "catching up")],
            True,
            "gateway",
            "The gateway is not ready: log: catching up.",
        ),
        (
            {"end": None, "waiting": None},
            [READY],
            True,
            "log",
            "Kafka does not answer: the end of ",
        ),
        (
            {"waiting": 1204, "waiting_s": 12.4},
            [READY],
            True,
            "matcher",
            "The matcher is behind: 1,204 commands on partition 0 wait for an outcome, the oldest "
            "for 12 s.",
        ),
        ({"waiting": 3, "waiting_s": 2.9}, [READY], True, None, "All stages keep up."),
        ({}, [READY], False, "database", "PostgreSQL does not answer; orders are matched"),
        (
            {"unstored": 1, "unstored_s": 240.0},
            [READY],
            True,
            "sink",
            "The sink is behind: 1 outcome of partition 0 waits to be stored, the oldest for 4 mi",
        ),
        (
            {},
            [READY, CheckState("webhooks", False, "exit code 5")],
            True,
            "helper",
            "Down, while orders are served: webhooks (exit code 5).",
        ),
    ],
)
def test_sentence_names_the_first_stage_that_is_behind(
    change: dict[str, object],
    checks: list[CheckState],
    stored_known: bool,
    behind: str | None,
    sentence: str,
) -> None:
    found = verdict([structs.replace(WELL, **change)], checks, stored_known)
    assert found.behind == behind
    assert found.sentence.startswith(sentence)


def test_sentence_adds_up_all_partitions_that_are_late() -> None:
    late = [structs.replace(WELL, partition=n, waiting=4, waiting_s=5.0 + n) for n in range(2)]
    found = verdict([*late, structs.replace(WELL, partition=2)], [READY], True)
    assert "8 commands on partitions 0, 1 wait for an outcome, the oldest for 6 s" in found.sentence
