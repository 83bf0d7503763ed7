"""Every program and every link is struck once, by a seed that is new each time."""

import secrets
from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.plan import TARGETS, ChaosPlan, Fault, Strike, chaos_plan
from tests.chaos.run import run_chaos
from tests.chaos.small_disk import NoMountError


@pytest.mark.timeout(400)
def test_exchange_struck_everywhere_keeps_what_it_promised(tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    told: list[str] = []
    strikes = chaos_plan(seed, 30, len(TARGETS))
    report = run_chaos(strikes, tmp_path / "exchange", told.append)
    # The seed repeats it: python -m tests.chaos --seed N --duration 30 --faults 16.
    assert report.holds, "\n".join([*told, *report.lines()])
    assert report.reconciliation.acknowledged > 100, "the market was hardly open"
    assert report.notices.told > 20, "hardly anybody was told of anything"


@pytest.mark.timeout(400)
def test_exchange_whose_log_has_no_disk_left_keeps_what_it_promised(tmp_path: Path) -> None:
    told: list[str] = []
    strikes = ChaosPlan(1, 10, (Strike(0, (Fault("fill_disk", "kafka", 6_000),)),), one_by_one=True)
    try:
        report = run_chaos(strikes, tmp_path / "exchange", told.append)
    except NoMountError as error:
        pytest.skip(str(error))
    assert report.holds, "\n".join([*told, *report.lines()])
    assert report.ended["kafka"], "the disk was never full"


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
def test_chaos_asked_for_nonsense_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
