"""`make demo`: a simulated market through a whole exchange, over REST, and the books proved after.

1. a fresh exchange (or a running one), 2. symbols listed and brokers registered, 3. a warm-up,
4. the flow, 5. figures, 6. the audit. Exit code 0 only if nothing failed and everything holds.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop
from msgspec import Struct, structs

from infra.errors import InfraError
from loadgen.client import LoadClient
from loadgen.client_log import client_lines
from loadgen.orderflow import Plan, Profile, plan
from loadgen.progress import run_with_progress
from loadgen.record import Records
from loadgen.report import Report, as_text, report
from loadgen.resources import Meter, Usage
from loadgen.setup import SetupError, register, wait_ready
from schemas.rest import Registration
from services.cli.audit_client_log import ClientLine
from services.cli.audit_run import run_audit
from services.cli.data_dir import with_endpoints
from services.cli.foreground import quiet_kafka, stoppable, temporary_data_dir
from services.cli.stack import Stack, running_exchange
from services.runtime.errors import ExchangeError
from services.runtime.settings import Settings, read_settings

WARM_UP_S = 5
# The sink is at most a second behind; the rest is for a machine busy with other things.
AUDIT_WAIT_S = 30.0
READY_WAIT_S = 30.0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INFRA = 3
EXIT_INTERRUPTED = 130


class Target(Struct, frozen=True):
    """The exchange under load. `settings` name its Kafka and PostgreSQL where they are known."""

    url: str
    admin_key: str
    settings: Settings
    pids: dict[str, int]


class Ran(Struct, frozen=True):
    """A finished flow: what happened, what it cost."""

    told: Report
    spent: dict[str, Usage]
    lines: list[ClientLine]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _options(arguments)
    profile = Profile(
        brokers=options.brokers,
        symbols=options.symbols,
        orders_per_s=options.rate,
        duration_s=options.duration,
    )
    flow = plan(profile, options.seed)
    quiet_kafka()
    try:
        with stoppable(), _target(options, flow) as target:
            return _demo(target, flow)
    except KeyboardInterrupt:
        _say("interrupted; everything is stopped")
        return EXIT_INTERRUPTED
    except ExchangeError as error:
        _say(f"demo: {error}")
        return error.exit_code
    except (InfraError, SetupError) as error:
        _say(f"demo: {error}")
        return EXIT_INFRA


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    profile = Profile()
    parser = argparse.ArgumentParser(
        prog="python -m loadgen.demo",
        description="Runs a simulated market through a fresh exchange, then audits it.",
        epilog="Exit codes: 0 no errors and the audit holds; 1 not so; 2 usage or settings; "
        "3 the exchange cannot be started or reached; 130 interrupted.",
    )
    parser.add_argument("--rate", type=int, default=profile.orders_per_s, help="orders a second")
    parser.add_argument("--duration", type=int, default=profile.duration_s, help="seconds")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same flow")
    parser.add_argument("--brokers", type=int, default=profile.brokers)
    parser.add_argument("--symbols", type=int, default=profile.symbols)
    parser.add_argument("--url", help="use the exchange that runs there")
    parser.add_argument("--admin-key", help="its admin key")
    options = parser.parse_args(arguments)
    if bool(options.url) != bool(options.admin_key):
        parser.error("--url and --admin-key belong together")
    if min(options.rate, options.duration, options.brokers, options.symbols) < 1:
        parser.error("rate, duration, brokers and symbols must be at least 1")
    return options


@contextmanager
def _target(options: argparse.Namespace, flow: Plan) -> Iterator[Target]:
    settings = read_settings(os.environ)
    if options.url:
        url = str(options.url).rstrip("/")
        yield Target(url, options.admin_key, with_endpoints(settings), {})
        return
    _say("starting a fresh exchange ...")
    with temporary_data_dir() as data_dir:
        fresh = structs.replace(settings, port=0, data_dir=data_dir)
        with running_exchange(data_dir, fresh, shares_ppm=flow.shares()) as stack:
            _say(f"{stack.url} is open, durability {stack.durability}")
            yield _of_stack(stack)


def _of_stack(stack: Stack) -> Target:
    settings = structs.replace(
        stack.settings, kafka=stack.bootstrap, database_url=stack.database_url
    )
    pids = {name: child.pid for name, child in stack.services.items()}
    if stack.servers.kafka is not None:
        pids["Kafka"] = stack.servers.kafka.process.pid
    if stack.servers.postgres is not None:
        pids["PostgreSQL"] = stack.servers.postgres.process.pid
    return Target(stack.url, stack.admin_key, settings, pids)


def _demo(target: Target, flow: Plan) -> int:
    profile = flow.profile
    known = bool(target.settings.kafka and target.settings.database_url)
    uvloop.run(wait_ready(target.url, READY_WAIT_S))
    brokers = uvloop.run(register(target.url, target.admin_key, profile.brokers))
    _say(f"{len(brokers)} brokers registered, {profile.symbols} symbols, seed {flow.seed}")
    warm_up = plan(structs.replace(profile, duration_s=WARM_UP_S), flow.seed + 1)
    _say(f"warming up for {WARM_UP_S} s ...")
    warmed = _run(target, brokers, warm_up)
    _say(f"{len(flow.actions):,} requests in {profile.duration_s} s, open loop:")
    ran = _run(target, brokers, flow)
    _print_figures(ran, flow)
    errors = warmed.told.errors + ran.told.errors
    holds = known and _audit(target, [*warmed.lines, *ran.lines])
    if not known:
        _say("no audit: set EXCHANGE_KAFKA and EXCHANGE_DATABASE_URL, or EXCHANGE_DATA_DIR")
    return 0 if holds and not errors else EXIT_FAILED


def _run(target: Target, brokers: list[Registration], flow: Plan) -> Ran:
    keys = [broker.api_key for broker in brokers]
    client = LoadClient(target.url, keys, flow, tag=f"{os.urandom(4).hex()}-")
    meter = Meter(target.pids)
    uvloop.run(run_with_progress(client, len(flow.actions)))
    spent = meter.spent()
    records: Records = client.records
    ids = [broker.broker_id for broker in brokers]
    return Ran(report(records, client.cpu_s), spent, list(client_lines(records, ids)))


def _print_figures(ran: Ran, flow: Plan) -> None:
    orders = ran.told.latency_us["order"].count if "order" in ran.told.latency_us else 0
    _out("")
    _out(f"flow: {flow.profile.orders_per_s} orders/s for {flow.profile.duration_s} s")
    for line in as_text(ran.told):
        _out(line)
    for name, used in ran.spent.items():
        per_order = used.cpu_s * 1_000_000 / max(1, orders)
        _out(f"{name:<11} {per_order:>10,.0f}  us of CPU an order, {used.memory_bytes >> 20} MiB")


def _audit(target: Target, lines: list[ClientLine]) -> bool:
    _say("auditing ...")
    found = run_audit(target.settings, lines, AUDIT_WAIT_S, _say)
    _out("")
    for line in found.lines():
        _out(line)
    return found.holds


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
