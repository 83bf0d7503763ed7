"""The measured and the computed tables as Markdown. Pure."""

from collections.abc import Iterator, Sequence

from benchmarks.cost.model import (
    BROKER_CORES,
    BUSY_MAX,
    PROCESSES,
    REPLICAS,
    SPARE,
    MarketSize,
    MeasuredLoad,
    limits,
    need,
)

MULTIPLES = (1, 10, 100)


def measured(loads: Sequence[MeasuredLoad]) -> Iterator[str]:
    """CPU for each request and memory of every process, one column for each load."""
    yield _row("measured", *(load.name for load in loads))
    yield _row("---", *["---:"] * len(loads))
    yield _row("requests a second", *(f"{load.done_per_s:,.0f}" for load in loads))
    yield _row(
        "orders, p50 / p99",
        *(f"{load.order_p50_ms:.1f} / {load.order_p99_ms:.1f} ms" for load in loads),
    )
    yield _row("CPU of a request, everything", *(f"{load.total_us:,.0f} us" for load in loads))
    for name in (*PROCESSES, SPARE):
        yield _row(f"{name}, CPU of a request", *(f"{load.us(name):,.0f} us" for load in loads))
    for name in (*PROCESSES, SPARE):
        yield _row(f"{name}, memory", *(_memory(load, name) for load in loads))
    if not all(load.valid for load in loads):
        yield ""
        late = ", ".join(load.name for load in loads if not load.valid)
        yield f"INVALID: the generator was late, or requests failed, at {late}."


def computed(load: MeasuredLoad, market: MarketSize) -> Iterator[str]:
    """Capacity of one core, needs of larger markets and what breaks first, from one load."""
    yield f"Computed from the costs at {load.name}, not measured:"
    yield ""
    yield _row("computed: one core of", "carries requests a second", "of B3")
    yield _row("---", "---:", "---:")
    for name in ("everything", *PROCESSES):
        us = load.total_us if name == "everything" else load.us(name)
        if us > 0:
            share = 100 * 1e6 / us / market.requests_per_s
            yield _row(name, f"{1e6 / us:,.0f}", f"{share:,.0f} %")
    yield ""
    needs = [need(load, market, multiple) for multiple in MULTIPLES]
    yield _row("computed: B3 times", *(f"{each.multiple:g}" for each in needs))
    yield _row("---", *["---:"] * len(needs))
    yield _row("requests a second", *(f"{each.requests_per_s:,.0f}" for each in needs))
    yield _row("gateways", *(f"{each.gateways or 'impossible'}" for each in needs))
    yield _row("matchers, and so partitions", *(f"{each.matchers}" for each in needs))
    yield _row(f"brokers of {BROKER_CORES} cores", *(f"{each.brokers}" for each in needs))
    for name in PROCESSES:
        yield _row(f"{name}, cores", *(f"{each.cores[name]:,.1f}" for each in needs))
    yield _row("cores together", *(f"{sum(each.cores.values()):,.1f}" for each in needs))
    yield _row("stages beyond their limit", *(f"{len(each.exceeded)}" for each in needs))
    yield ""
    yield _row("computed: what breaks first", "at B3 times")
    yield _row("---", "---:")
    for limit in limits(load, market):
        yield _row(limit.stage, f"{limit.multiple:,.1f}")
    yield ""
    yield (
        f"No process is busier than {BUSY_MAX:.0%} of a core, and every record is stored by "
        f"{REPLICAS} brokers. The most traded symbol has {market.top_share:.1%} of the orders."
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _memory(load: MeasuredLoad, name: str) -> str:
    cost = load.processes.get(name)
    return "-" if cost is None else f"{cost.memory_bytes / 2**20:,.0f} MiB"
