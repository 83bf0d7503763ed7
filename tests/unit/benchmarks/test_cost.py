"""The cost model: limits and needs computed from the cost of a request, and their tables."""

import pytest

from benchmarks.cost.model import (
    BUSY_MAX,
    GATEWAY,
    KAFKA,
    MATCHER,
    POSTGRES,
    SINK,
    SPARE,
    MarketSize,
    MeasuredLoad,
    ProcessCost,
    limits,
    need,
)
from benchmarks.cost.table import computed, measured

# At 1,000 requests a second a cost of so many us is so many thousandths of a core.
MARKET = MarketSize(requests_per_s=1_000, top_share=0.1)
COSTS = {GATEWAY: 100.0, SPARE: 10.0, MATCHER: 50.0, SINK: 6.0, POSTGRES: 3.0, KAFKA: 200.0}


def load_with(**changes: float) -> MeasuredLoad:
    costs = {name: ProcessCost(us, 64 << 20) for name, us in (COSTS | changes).items()}
    return MeasuredLoad("200 %", 200, 2_000, 5.0, 20.0, True, costs)


def test_limits_are_the_multiples_at_which_an_undivided_stage_is_busy() -> None:
    found = {limit.stage: limit.multiple for limit in limits(load_with(), MARKET)}
    assert found == pytest.approx(
        {
            "each gateway applies every outcome": 60,
            "one sink stores every outcome": 100,
            "the most traded symbol has one matcher": 120,
            "one connection of PostgreSQL writes every row": 200,
        }
    )
    assert list(found.values()) == sorted(found.values())


def test_total_leaves_out_the_spare_gateway() -> None:
    assert load_with().total_us == 100 + 50 + 200 + 6 + 3


@pytest.mark.parametrize("multiple", [1, 10, 37])
def test_need_keeps_every_process_within_its_share_of_a_core(multiple: float) -> None:
    found = need(load_with(), MARKET, multiple)
    applying, answering = 0.010 * multiple, 0.090 * multiple
    assert answering / found.gateways + applying <= BUSY_MAX + 1e-9
    assert found.gateways == 1 or answering / (found.gateways - 1) + applying > BUSY_MAX
    assert found.cores[GATEWAY] == pytest.approx(answering + found.gateways * applying)
    assert found.cores[MATCHER] / found.matchers <= BUSY_MAX
    assert found.cores[KAFKA] == pytest.approx(3 * 0.2 * multiple)
    assert found.brokers == max(3, -(-found.cores[KAFKA] // (8 * BUSY_MAX)))
    assert found.exceeded == []


def test_need_beyond_a_limit_names_the_stage() -> None:
    found = need(load_with(), MARKET, 110)
    assert found.gateways == 0
    assert found.exceeded == ["each gateway applies every outcome", "one sink stores every outcome"]
    assert any("impossible" in line for line in computed(load_with(), MarketSize(10_000, 0.1)))


def test_tables_have_a_column_for_each_load_and_mark_what_is_computed() -> None:
    loads = [load_with(), load_with(), load_with()]
    rows = [line.count("|") for line in measured(loads)]
    assert set(rows) == {5}
    text = "\n".join(computed(loads[-1], MARKET))
    assert "| everything | 2,786 | 279 % |" in text
    heads = [line for line in text.splitlines() if line.startswith("| computed")]
    assert len(heads) == 3


def test_loads_with_errors_or_a_late_generator_are_marked() -> None:
    bad = MeasuredLoad("25 %", 25, 1, 1, 1, False, {})
    assert "25 %" in list(measured([load_with(), bad]))[-1]
