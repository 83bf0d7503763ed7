"""The three simpler designs keep the trading rules, as the comparison of figures requires."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from benchmarks.designs.__main__ import KINDS
from benchmarks.designs.service import Baseline
from tests.support.conformance import RULES, TIMEOUT_S, ConformanceRun, run_conformance
from tests.support.servers import DatabaseServer

# Rules of the seven API calls. The designs lack the rest: webhooks, pages of trades, queries,
# batches, order conditions, market controls and stop orders.
HELD = 88

pytestmark = pytest.mark.timeout(2 * TIMEOUT_S)


@pytest.fixture(scope="module")
def designs(
    postgres: DatabaseServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Baseline]]:
    """Each design, running with a separate database."""
    folder = tmp_path_factory.mktemp("designs")
    started: dict[str, Baseline] = {}
    with ExitStack() as stopping:
        for name in KINDS:
            database_url = postgres.create_database(f"{name}_{secrets.token_hex(4)}")
            started[name] = Baseline(name, database_url, secrets.token_urlsafe(24), folder)
            started[name].start()
            stopping.callback(started[name].stop)
        yield started


@pytest.fixture(scope="module")
def runs(designs: dict[str, Baseline]) -> dict[str, ConformanceRun]:
    """Conformance runs of all designs, in parallel: most of their time is waiting for expiries."""
    with ThreadPoolExecutor(len(designs)) as pool:
        running = {
            name: pool.submit(run_conformance, design.url, design.admin_key)
            for name, design in designs.items()
        }
        return {name: run.result() for name, run in running.items()}


@pytest.mark.parametrize("name", KINDS)
def test_design_conforms_to_every_trading_rule(name: str, runs: dict[str, ConformanceRun]) -> None:
    run = runs[name]
    assert run.exit_code == 0, run.output
    assert (run.held, run.not_offered) == (HELD, RULES - HELD)


def test_rules_about_a_missing_part_are_reported_as_not_judged(
    designs: dict[str, Baseline],
) -> None:
    # One of the selected rules is about trading; the other two are about webhooks.
    rules = "replay or rotated or retry_of_an_order"
    design = designs["v3"]
    run = run_conformance(design.url, design.admin_key, "--rules", rules)
    assert run.exit_code == 0, run.output
    assert (run.held, run.not_offered) == (1, 2)
    assert "1 rules hold, 0 are broken, 2 WERE NOT JUDGED" in run.output
