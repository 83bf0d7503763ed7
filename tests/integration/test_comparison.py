"""The comparison's steps on real contestants: figures, and the losses after a kill."""

from pathlib import Path

import pytest

from benchmarks.comparison.losses import losses
from benchmarks.comparison.measure import (
    COLD_SCALE,
    LATE,
    MeasureError,
    cold_point,
    point,
)
from benchmarks.comparison.systems import running
from loadgen.report.files import read_summary
from services.local.signals import temporary_data_dir


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["v1", "process"])
def test_kill_of_all_processes_loses_no_order_stored_before_its_answer(name: str) -> None:
    with temporary_data_dir() as folder, running(name, folder) as system:
        found = losses(system, kills=1)
    assert (found.kills, found.lost) == (1, 0)
    assert found.acknowledged > 50


@pytest.mark.timeout(300)
def test_point_of_a_system_has_latency_cost_and_memory(tmp_path: Path) -> None:
    with temporary_data_dir() as folder, running("v3", folder) as system:
        cold = cold_point(system, 2, tmp_path)
        found = point(system, 5, 2, tmp_path)
        system.kill()
        with pytest.raises(MeasureError, match="no figures at 10 %"):
            point(system, 10, 2, tmp_path)
        system.restart()
    assert (cold.scale, cold.errors_percent) == (COLD_SCALE, 0)
    assert cold.note in ("", LATE)
    # Two seconds of orders, cancels and reads, and nothing before them.
    assert cold.p99_us is not None
    config = read_summary(tmp_path / "cold").config
    assert (config.warm_up_s, config.profile.book_orders_per_symbol) == (0, 0)
    assert found.p50_us is not None
    assert found.p99_us is not None
    assert 0 < found.p50_us <= found.p99_us
    assert found.errors_percent == 0
    assert found.cpu_us_per_request > 0
    assert found.memory_bytes > 10 << 20
