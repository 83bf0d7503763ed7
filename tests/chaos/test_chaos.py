"""Chaos runs: one fault on every program and link, and a full disk."""

import os
import secrets
import shlex
from pathlib import Path

import pytest

from tests.chaos.__main__ import SEED_VARIABLE, main, read_options
from tests.chaos.plan import TARGETS, ChaosPlan, Fault, FaultGroup, chaos_plan
from tests.chaos.run import run_chaos
from tests.chaos.small_disk import NoMountError


@pytest.mark.timeout(400)
def test_exchange_with_a_fault_on_every_target_keeps_every_promise(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED_VARIABLE, secrets.randbelow(1_000_000)))
    plan = chaos_plan(seed, 30, len(TARGETS))
    # Printed, so that the seed and the command are known also when the run raises.
    report = run_chaos(plan, tmp_path / "exchange", print)
    assert report.passed, "\n".join([f"{SEED_VARIABLE}={seed} repeats it", *report.lines()])
    assert report.reconciliation.acknowledged > 100, "too few orders were accepted"
    assert report.webhooks.received > 20, "too few webhooks were received"


@pytest.mark.timeout(400)
def test_exchange_with_a_full_disk_of_kafka_keeps_every_promise(tmp_path: Path) -> None:
    group = FaultGroup(0, (Fault("fill_disk", "kafka", 6_000),))
    plan = ChaosPlan(1, 10, (group,), one_by_one=True)
    try:
        report = run_chaos(plan, tmp_path / "exchange", print)
    except NoMountError as error:
        pytest.skip(str(error))
    assert report.passed, "\n".join(report.lines())
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


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--kinds", "kill,freeze", "--targets", "kafka,sink", "--faults", "40"],
        ["--kinds", "cut", "--one-by-one"],
        ["--also", "supersede", "--duration", "30"],
    ],
)
def test_command_of_a_plan_repeats_the_plan(arguments: list[str]) -> None:
    _, plan = read_options(arguments)
    program, repeated = plan.command.split(" --", 1)
    assert program == "python -m tests.chaos"
    assert read_options(shlex.split(f"--{repeated}"))[1] == plan


def test_command_takes_the_seed_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED_VARIABLE, "7")
    assert read_options([])[1].seed == 7
    assert read_options(["--seed", "8"])[1].seed == 8
    monkeypatch.setenv(SEED_VARIABLE, "seven")
    with pytest.raises(SystemExit):
        read_options([])
