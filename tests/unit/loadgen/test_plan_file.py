"""Plan files: read back exactly, or refused with the reason."""

from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from loadgen.workload.orderflow import (
    PLAN_VERSION,
    Action,
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedRead,
    PlannedReplace,
    plan,
)
from loadgen.workload.plan_file import PlanFileError, read_plan, write_plan
from loadgen.workload.profiles import B3, scaled

PLAN = plan(scaled(B3, 20, 5), 3)
ORDER = PlannedOrder(10, 0, 0, "bid", "limit", 100, 1_000, None, "c")


def refusal(path: Path) -> str:
    with pytest.raises(PlanFileError) as refused:
        read_plan(path)
    assert str(path) in str(refused.value)
    return str(refused.value)


def with_actions(*actions: Action) -> Plan:
    return structs.replace(PLAN, actions=actions)


def test_plan_file_is_read_back_exactly(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan", PLAN)
    assert read_plan(tmp_path / "plan") == PLAN


def test_plan_file_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(msgspec.json.encode({"version": PLAN_VERSION + 1, "else": "new"}))
    assert f"version {PLAN_VERSION + 1}, this program reads version {PLAN_VERSION}" in refusal(path)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\x00\xff", b"[]", b'{"version": "1"}'])
def test_file_that_is_not_a_plan_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(raw)
    assert "is no plan" in refusal(tmp_path / "plan")


def test_plan_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    write_plan(path, PLAN)
    path.write_bytes(path.read_bytes()[:-10])
    assert "is no" in refusal(path)
    path.write_bytes(msgspec.json.encode({"version": PLAN_VERSION, "seed": 1}))
    assert "not a whole plan" in refusal(path)


def test_missing_plan_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "plan")
    with pytest.raises(PlanFileError, match="No such file"):
        write_plan(tmp_path / "no folder" / "plan", PLAN)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (with_actions(ORDER, structs.replace(ORDER, at_us=9)), "before the one before"),
        (with_actions(structs.replace(ORDER, broker=100)), "broker 100"),
        (with_actions(structs.replace(ORDER, symbol=450)), "symbol 450"),
        (with_actions(PlannedCancel(0, 0, 0)), "no earlier order"),
        (with_actions(ORDER, PlannedReplace(20, 0, 1, price=5)), "no earlier order"),
        (with_actions(ORDER, PlannedRead(20, 0, "read_order", 1)), "no earlier order"),
        (with_actions(PlannedRead(0, 0, "read_book", -1)), "symbol -1"),
    ],
)
def test_plan_file_that_contradicts_itself_is_refused(plan: Plan, why: str, tmp_path: Path) -> None:
    write_plan(tmp_path / "plan", plan)
    assert why in refusal(tmp_path / "plan")
