"""The test files of each make target, and their division among processes.

Every file has a weight in seconds, measured on two cores. Shards of equal weight end together.
"""

from collections.abc import Iterable

from msgspec import Struct

from tests.support.sizes import is_small

# No servers.
UNIT = ("tests/unit", "tests/golden", "tests/properties", "tests/simulation")
# What one exchange promises, on real servers.
ESSENTIAL = (
    *UNIT,
    "tests/contract",
    "tests/e2e/test_conformance.py",
    "tests/e2e/test_faults.py",
    "tests/e2e/test_run.py",
    "tests/e2e/test_trading.py",
    "tests/e2e/test_webhooks.py",
    "tests/e2e/test_whole_log.py",
    "tests/integration/test_keys.py",
    "tests/integration/test_reader_start.py",
    "tests/integration/test_sink_loop.py",
    "tests/integration/test_sink_processes.py",
    "tests/integration/test_sink_store.py",
    "tests/integration/test_sink_webhooks.py",
    "tests/integration/test_snapshots.py",
    "tests/integration/test_standby.py",
    "tests/integration/test_topics.py",
    "tests/integration/test_webhook_sender.py",
    "tests/integration/test_webhooks.py",
)
# Files that TEST_SIZE makes smaller: part of ESSENTIAL, and needed again at full size.
# The seconds are those of the small size.
SIZED: dict[str, float] = {
    "tests/contract/test_http_schema.py": 12,
    "tests/golden/test_golden_logs.py": 1,
    "tests/integration/test_standby.py": 18,
    "tests/properties/test_engine_model.py": 2,
    "tests/properties/test_flows.py": 1.5,
    "tests/simulation/test_simulation.py": 2.5,
    "tests/unit/reader/test_candles.py": 0.5,
    "tests/unit/reader/test_order_list.py": 2,
    "tests/unit/reader/test_tickers.py": 0.5,
    "tests/unit/reader/test_trade_lists.py": 1.5,
    "tests/unit/schemas/test_command_texts.py": 0.5,
    "tests/unit/sink/test_candle_rows.py": 0.5,
    "tests/unit/test_retained_memory.py": 1.5,
}
# Each shard has its own exchange, and each ends with the audit of that exchange.
LAST = "tests/e2e/test_whole_log.py"

WEIGHT_S = 3.0
UNIT_WEIGHT_S = 0.08
# Files of the first shard only: they measure time or fill the machine, so never two at once.
ALONE = (
    "tests/browser",
    "tests/chaos",
    "tests/e2e/test_canaries.py",
    "tests/e2e/test_outage.py",
    "tests/e2e/test_webhook_figures.py",
    "tests/integration/test_benchmarks.py",
    "tests/integration/test_comparison.py",
    "tests/integration/test_cost.py",
    "tests/integration/test_durability_figures.py",
    "tests/integration/test_loadgen.py",
    "tests/integration/test_soak.py",
    "tests/secured/test_measurement.py",
)
WEIGHTS_S = {
    "tests/browser/test_accessibility.py": 30,
    "tests/browser/test_budgets.py": 20,
    "tests/browser/test_conditions.py": 15,
    "tests/browser/test_connection.py": 75,
    "tests/browser/test_phases.py": 25,
    "tests/browser/test_restart.py": 30,
    "tests/browser/test_states.py": 50,
    "tests/browser/test_trading.py": 40,
    "tests/chaos/test_chaos.py": 89,
    "tests/chaos/test_defects.py": 83,
    "tests/contract/test_access.py": 4,
    "tests/chaos/test_killed_gateway.py": 35,
    "tests/contract/test_feed_access.py": 8,
    "tests/contract/test_feed_sockets.py": 11,
    "tests/contract/test_http_schema.py": 25,
    "tests/contract/test_http_sockets.py": 18,
    "tests/contract/test_webhook_addresses.py": 6,
    "tests/e2e/test_batches.py": 12,
    "tests/e2e/test_canaries.py": 36,
    "tests/e2e/test_ccxt_example.py": 20,
    "tests/e2e/test_client.py": 12,
    "tests/e2e/test_conformance.py": 40,
    "tests/e2e/test_conformance_sessions.py": 45,
    "tests/e2e/test_exchange_power_cut.py": 20,
    "tests/e2e/test_faults.py": 45,
    "tests/e2e/test_feed_orders.py": 50,
    "tests/e2e/test_loadgen_run.py": 25,
    "tests/e2e/test_lost_tails.py": 20,
    "tests/e2e/test_outage.py": 40,
    "tests/e2e/test_run.py": 17,
    "tests/e2e/test_scale_out.py": 30,
    "tests/e2e/test_three_brokers.py": 57,
    "tests/e2e/test_trading.py": 9,
    "tests/e2e/test_webhook_figures.py": 32,
    "tests/e2e/test_webhooks.py": 9,
    "tests/golden/test_golden_logs.py": 7,
    "tests/infra/kubernetes/test_schemas.py": 13,
    "tests/infra/test_aot_training.py": 60,
    "tests/infra/test_broker.py": 20,
    "tests/infra/test_cluster.py": 45,
    "tests/infra/test_power_cut.py": 10,
    "tests/infra/test_servers.py": 11,
    "tests/integration/test_audit.py": 150,
    "tests/integration/test_benchmarks.py": 68,
    "tests/integration/test_broken_executions.py": 27,
    "tests/integration/test_comparison.py": 50,
    "tests/integration/test_cost.py": 40,
    "tests/integration/test_designs_conformance.py": 31,
    "tests/integration/test_designs_restart.py": 14,
    "tests/integration/test_example_book.py": 12,
    "tests/integration/test_example_vwap.py": 25,
    "tests/integration/test_kafka_tls.py": 41,
    "tests/integration/test_keys.py": 28,
    "tests/integration/test_loadgen.py": 64,
    "tests/integration/test_reader_archive.py": 11,
    "tests/integration/test_reader_start.py": 50,
    "tests/integration/test_reader_start_faults.py": 17,
    "tests/integration/test_replay.py": 28,
    "tests/integration/test_secured_kafka.py": 54,
    "tests/integration/test_sink_loop.py": 25,
    "tests/integration/test_sink_network.py": 30,
    "tests/integration/test_sink_processes.py": 16,
    "tests/integration/test_sink_store.py": 4,
    "tests/integration/test_sink_webhooks.py": 4,
    "tests/integration/test_snapshots.py": 42,
    "tests/integration/test_soak.py": 11,
    "tests/integration/test_standby.py": 30,
    "tests/integration/test_two_sinks.py": 9,
    "tests/integration/test_webhook_pruning.py": 24,
    "tests/integration/test_webhook_sender.py": 8,
    "tests/integration/test_webhooks.py": 32,
    "tests/properties/test_engine_model.py": 28,
    "tests/properties/test_flows.py": 2,
    "tests/properties/test_replay.py": 0.6,
    "tests/secured/test_access_apply.py": 16,
    "tests/secured/test_examples.py": 12,
    "tests/secured/test_exchange.py": 70,
    "tests/secured/test_live.py": 15,
    "tests/secured/test_measurement.py": 56,
    "tests/secured/test_server_access.py": 31,
    "tests/simulation/test_simulation.py": 37,
    "tests/unit/api/test_direct.py": 0.6,
    "tests/unit/api/test_framework.py": 0.5,
    "tests/unit/audit/test_market.py": 1,
    "tests/unit/benchmarks/test_against.py": 1,
    "tests/unit/benchmarks/test_benchmarks.py": 2,
    "tests/unit/benchmarks/test_design_market.py": 0.7,
    "tests/unit/benchmarks/test_soak_flow.py": 1.5,
    "tests/unit/feeds/test_paced.py": 1,
    "tests/unit/ingest/test_place.py": 1,
    "tests/unit/ingest/test_replace.py": 0.6,
    "tests/unit/loadgen/test_client.py": 1,
    "tests/unit/loadgen/test_orderflow.py": 0.6,
    "tests/unit/local/test_signals.py": 1,
    "tests/unit/reader/test_order_list.py": 4,
    "tests/unit/reader/test_stocks.py": 0.7,
    "tests/unit/reader/test_tickers.py": 1,
    "tests/unit/reader/test_trade_lists.py": 3,
    "tests/unit/runtime/postgres/test_connection.py": 1,
    "tests/unit/runtime/postgres/test_watchdog.py": 1,
    "tests/unit/runtime/test_health.py": 1,
    "tests/unit/runtime/test_processes.py": 0.6,
    "tests/unit/schemas/test_command_texts.py": 1,
    "tests/unit/test_retained_memory.py": 2,
    "tests/unit/test_tidy.py": 2,
}


class Target(Struct, frozen=True):
    """A selection: paths to run, files of them to leave out, the size, and use of servers."""

    paths: tuple[str, ...]
    size: str
    without: tuple[str, ...] = ()
    shards: int = 2
    servers: bool = True


# `rest` is `all` without what `essential` has run already. The essential tests mostly wait for
# servers: three processes use two cores better than two. Tests that measure time need them alone.
TARGETS = {
    "unit": Target(UNIT, "small", servers=False),
    "essential": Target(ESSENTIAL, "small", shards=3),
    "all": Target(("tests",), "full"),
    "rest": Target(("tests",), "full", tuple(p for p in ESSENTIAL if p != LAST)),
}


def within(file: str, paths: Iterable[str]) -> bool:
    """Return whether the file is one of the paths, or lies in one of them."""
    return any(file == path or file.startswith(f"{path}/") for path in paths)


def left_out(file: str, target: Target) -> bool:
    """Return whether the target leaves the file out; files of SIZED stay."""
    return within(file, target.without) and file not in SIZED


def shard_of(files: Iterable[str], shards: int) -> dict[str, int]:
    """The shard of each file, from 0: files of ALONE in the first, the heaviest others first."""
    loads = [0.0] * shards
    placed: dict[str, int] = {}
    for file in sorted(set(files), key=lambda name: (not within(name, ALONE), -weight(name), name)):
        shard = 0 if within(file, ALONE) else loads.index(min(loads))
        placed[file] = shard
        loads[shard] += weight(file)
    return placed


def weight(file: str) -> float:
    """Seconds that a file takes, roughly."""
    usual = UNIT_WEIGHT_S if within(file, UNIT) else WEIGHT_S
    small = SIZED if is_small() else {}
    return float(small.get(file, WEIGHTS_S.get(file, usual)))
