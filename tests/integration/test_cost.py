"""The measurements of batches and of costs, small, on fresh exchanges."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.cost.__main__ import CostReport
from benchmarks.cost.__main__ import main as cost
from benchmarks.cost.model import GATEWAY, KAFKA, MATCHER, POSTGRES, SINK, SPARE, WEBHOOKS
from benchmarks.experiments.batches import main as batches


@pytest.mark.timeout(120)
def test_cost_has_every_process_and_the_computed_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cost.json"
    arguments = ["--scales", "10", "--seconds", "4", "--no-capacity", "--json", str(file)]
    assert cost(arguments) == 0
    (load,) = msgspec.json.decode(file.read_bytes(), type=CostReport).loads
    assert set(load.processes) == {GATEWAY, SPARE, MATCHER, KAFKA, SINK, POSTGRES, WEBHOOKS}
    assert all(cost.memory_bytes > 1 << 20 for cost in load.processes.values())
    # It applies outcomes, and answers nothing.
    assert 0 < load.us(SPARE) < load.us(GATEWAY) < load.total_us
    printed = capsys.readouterr().out
    assert "| measured | 10 % |" in printed
    assert "| computed: B3 times | 1 | 10 | 100 |" in printed


@pytest.mark.timeout(120)
def test_batches_and_single_orders_are_all_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--orders", "200", "--more", "2", "--rounds", "1", "--requests", "4"]
    assert batches(arguments) == 0
    single, batched = capsys.readouterr().out.splitlines()
    assert single.startswith("   1 a request")
    assert batched.startswith("  20 a request")
    assert "gateway" in batched
