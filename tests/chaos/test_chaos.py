"""Chaos runs: one fault on every program and link, and a full disk."""

import secrets
from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.plan import TARGETS, ChaosPlan, Fault, FaultGroup, chaos_plan
from tests.chaos.run import run_chaos
from tests.chaos.small_disk import NoMountError


@pytest.mark.timeout(400)
def test_exchange_with_a_fault_on_every_target_keeps_every_promise(tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    progress: list[str] = []
    plan = chaos_plan(seed, 30, len(TARGETS))
    report = run_chaos(plan, tmp_path / "exchange", progress.append)
    # The seed repeats it: python -m tests.chaos --seed N --duration 30 --faults 16.
    assert report.passed, "\n".join([*progress, *report.lines()])
    assert report.reconciliation.acknowledged > 100, "too few orders were accepted"
    assert report.webhooks.received > 20, "too few webhooks were received"


@pytest.mark.timeout(400)
def test_exchange_with_a_full_disk_of_kafka_keeps_every_promise(tmp_path: Path) -> None:
    progress: list[str] = []
    group = FaultGroup(0, (Fault("fill_disk", "kafka", 6_000),))
    plan = ChaosPlan(1, 10, (group,), one_by_one=True)
    try:
        report = run_chaos(plan, tmp_path / "exchange", progress.append)
    except NoMountError as error:
        pytest.skip(str(error))
    assert report.passed, "\n".join([*progress, *report.lines()])
    assert report.unexpected_exits["kafka"], "the disk was never full"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--duration", "0"],
        ["--faults", "0"],
        ["--keep", "/"],
        ["--kinds", "burn"],
        ["--targets", "kafka,moon"],
        ["--kinds", "kill", "--targets", "sink-kafka"],
    ],
)
def test_command_with_invalid_arguments_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
