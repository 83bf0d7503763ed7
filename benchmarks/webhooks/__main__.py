"""`python -m benchmarks.webhooks`: time from a trade to its webhooks, and number of losses.

A fresh exchange, every broker with a URL at a receiver on this machine, the market of `loadgen
run`, and the sender killed (-9) every few seconds. Times count from the trade's timestamp in the
command log.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.webhooks.figures import figures
from benchmarks.webhooks.kills import Kills
from benchmarks.webhooks.outbox import sides, wait_until_drained
from benchmarks.webhooks.receiver import WebhookReceiver, running_receiver
from benchmarks.webhooks.result import SCHEMA_VERSION, Generator, WebhookResult
from infra.errors import InfraError
from loadgen.client.session import Session
from loadgen.client.setup import SetupError
from loadgen.client.target import fresh_stack, target_of
from loadgen.client.workers import INTERRUPTED, RunResult, WorkersError
from loadgen.options import REPORTS, SCALE_DEFAULT, SEED_DEFAULT, UsageError, flow_at, profile_of
from loadgen.report.machine import commit, this_machine
from loadgen.report.report import report
from loadgen.report.summary import EXIT_INTERRUPTED, Audit
from loadgen.workload.orderflow import Plan
from schemas.units import rfc3339
from services.local.exchange import LocalExchange
from services.local.signals import quiet_kafka, stoppable
from services.runtime.errors import ExchangeError
from services.runtime.progress import Progress, progress_on_stderr

# Enough for connections to every receiver.
WARM_UP_S = 5
# Only the sender is killed here, so an exchange that is silent this long has failed.
GIVE_UP_S = 10.0
# Drain time after an interruption: short, so that the results appear soon.
INTERRUPTED_S = 10.0
EXIT_USAGE = 2
EXIT_INFRA = 3


class WebhookRun(Struct, frozen=True):
    """The measurement. `drain_s`: how long webhooks may take after the last order."""

    flow: Plan
    scale: float
    kill_every_s: float
    drain_s: float
    audit: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    quiet_kafka()
    try:
        wanted = _webhook_run(options)
        folder = options.report or REPORTS / time.strftime("webhooks-%Y%m%d-%H%M%S")
        folder.mkdir(parents=True, exist_ok=True)
        with stoppable(), progress_on_stderr() as progress:
            found = measure(wanted, progress)
    except KeyboardInterrupt:
        return _failed("interrupted; everything is stopped", EXIT_INTERRUPTED)
    except UsageError as error:
        return _failed(str(error), EXIT_USAGE)
    except ExchangeError as error:
        return _failed(str(error), error.exit_code)
    except (InfraError, SetupError, WorkersError, OSError) as error:
        return _failed(str(error), EXIT_INFRA)
    file = folder / "webhooks.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    for line in (*found.lines(), f"report      {file}"):
        sys.stdout.write(line + "\n")
    return found.exit_code


def measure(wanted: WebhookRun, progress: Progress) -> WebhookResult:
    """Run from an empty exchange to the figures, and remove everything afterwards."""
    with (
        running_receiver() as receiver,
        fresh_stack(wanted.flow.shares(), progress.say) as stack,
    ):
        return _measure(wanted, stack, receiver, progress)


def _measure(
    wanted: WebhookRun, stack: LocalExchange, receiver: WebhookReceiver, progress: Progress
) -> WebhookResult:
    # 1. Brokers with URLs, books, warm-up; the sender is not killed meanwhile.
    flow = wanted.flow
    session = Session(target_of(stack), progress, processes=1, give_up_s=GIVE_UP_S)
    session.prepare(flow.profile, flow.seed, receiver.url)
    receiver.set_secrets([str(broker.webhook_secret) for broker in session.brokers])
    session.warm_up(flow.profile, flow.seed, WARM_UP_S)
    settings = session.target.settings
    wait_until_drained(settings, wanted.drain_s, progress)
    before = receiver.received()
    # 2. The market, and the kills.
    every = f", killed every {wanted.kill_every_s:g} s" if wanted.kill_every_s else ""
    progress.say(f"{len(flow.actions):,} requests in {flow.profile.duration_s} s{every}:")
    kills = Kills(stack, wanted.kill_every_s, progress.say)
    with kills.running():
        ran = session.run(flow, "run")
    # 3. Pending webhooks; only then the audit, which also needs the machine.
    drain_s = min(INTERRUPTED_S, wanted.drain_s) if ran.why else wanted.drain_s
    drained = wait_until_drained(settings, drain_s, progress)
    kills.measured()
    received = receiver.received()
    arrived = max(1, len(received.ids) - len(before.ids))
    audit: Audit = session.audit() if wanted.audit and not ran.why else "left out"
    ids = [broker.broker_id for broker in session.brokers]
    since_us = ran.started_at_ms * 1_000
    return WebhookResult(
        schema_version=SCHEMA_VERSION,
        scale=wanted.scale,
        seed=flow.seed,
        kill_every_s=wanted.kill_every_s,
        profile=flow.profile,
        machine=this_machine(),
        commit=commit(),
        started_at=rfc3339(ran.started_at_ms),
        why=ran.why,
        interrupted=ran.why == INTERRUPTED,
        generator=_generator(ran),
        drained=drained,
        figures=figures(sides(settings), received, ids, kills.killed, since_us),
        cpu_us={
            "sender": int(kills.cpu_s * 1_000_000 / arrived),
            "receiver": int((received.cpu_s - before.cpu_s) * 1_000_000 / arrived),
        },
        audit=audit,
    )


def _generator(ran: RunResult) -> Generator:
    found = report(ran.records, ran.cpu_s)
    send_lag_us = found.send_lag_us.p99 if found.send_lag_us is not None else 0
    return Generator(found.sent, found.errors, send_lag_us, found.late)


def _webhook_run(options: argparse.Namespace) -> WebhookRun:
    if options.kill_every < 0 or options.drain <= 0:
        raise UsageError("--kill-every must be 0 or more, --drain more than 0")
    flow = flow_at(options.scale, options, profile_of(options))
    return WebhookRun(flow, options.scale, options.kill_every, options.drain, options.audit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.webhooks",
        description=__doc__,
        epilog="Exit codes: 0 every trade was delivered to its brokers; 1 lost or wrong webhooks, "
        "errors, or the audit fails; 2 usage; 3 the exchange cannot be started; 98 INVALID: "
        "requests left late, the machine was busy; 130 interrupted.",
    )
    add = parser.add_argument
    add("--scale", type=float, default=SCALE_DEFAULT, help="per cent of B3; default 100")
    add("--duration", type=int, default=60, metavar="S", help="seconds; default 60")
    add("--seed", type=int, default=SEED_DEFAULT, help="seed of the flow; default 1")
    add("--profile", metavar="NAME|FILE", help="another mix, as for `loadgen run`")
    add(
        "--kill-every", type=float, default=5.0, metavar="S",
        help="seconds between two kills of the sender; 0: never; default 5",
    )  # fmt: skip
    add(
        "--drain", type=float, default=120.0, metavar="S",
        help="seconds to wait for webhooks after the last order; default 120",
    )  # fmt: skip
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help=f"folder of webhooks.json; default {REPORTS}/<time>",
    )
    add(
        "--audit", action=argparse.BooleanOptionalAction, default=True,
        help="compare the command log and all derived data with the answers to brokers",
    )  # fmt: skip
    return parser


def _failed(why: str, exit_code: int) -> int:
    sys.stderr.write(f"webhooks: {why}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
