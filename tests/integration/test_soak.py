"""The benchmark of long logs, very small and on real servers, completes all measurements."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.soak.day import DayOptions, run_day
from benchmarks.soak.flow import shares_of
from benchmarks.soak.recovery import Limits
from benchmarks.soak.report import as_text
from benchmarks.soak.write import Pace
from infra.ports import free_port
from infra.servers import LocalServers
from services.local.exchange import LocalExchange
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from tests.integration.audited_market import create_database
from tests.support.exchange import Exchange

OPTIONS = DayOptions(
    orders=3_000,
    seed=2,
    brokers=5,
    symbols=20,
    every_s=0.5,
    pace=Pace(lag_max=1_000, bound_s=30.0, memory_mib_max=1_000),
    steps=("matcher-log", "reader", "sink", "replay"),
    limits=Limits(seconds=20.0, memory_mib=1_000),
)


@pytest.fixture
def stack(exchange: Exchange, tmp_path: Path) -> Iterator[LocalExchange]:
    """A separate exchange on the servers of the test run."""
    url = create_database(exchange.database_url, "day")
    settings = Settings(
        kafka=exchange.bootstrap,
        database_url=url,
        topic_prefix=f"{tmp_path.name.replace('_', '-')}.",
        port=free_port(),
        data_dir=tmp_path,
        admin_key="a key for the soak only",
        durability="process",
    )
    stack = LocalExchange(
        settings, LocalServers(tmp_path, kafka=exchange.bootstrap, database_url=url)
    )
    try:
        stack.prepare(shares_of(OPTIONS.symbols))
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


def test_small_soak_completes_with_every_figure(stack: LocalExchange) -> None:
    lines: list[str] = []

    report = run_day(stack, OPTIONS, Progress(lines.append))

    assert report.holds, (report.failure, report.steps)
    assert report.orders == OPTIONS.orders
    assert report.events["OrderAccepted"] == OPTIONS.orders
    last = report.samples[-1]
    assert last.behind == 0 or last.log > report.orders + report.cancels
    assert min(last.memory_mib[name] for name in ("gateway", "matcher", "sink")) > 20
    assert report.trades > 0
    assert report.rates.sink_rows > 0
    names = [step.name for step in report.steps]
    assert names == ["matcher-log", "reader", "sink", "replay 0", "replay 1"]
    assert any("commands/s" in line for line in as_text(report))
