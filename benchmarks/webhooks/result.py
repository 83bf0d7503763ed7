"""The result of the run: lines of text, JSON, and an exit code."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from benchmarks.webhooks.figures import Figures
from loadgen.report.machine import Machine
from loadgen.report.summary import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OK, Audit
from loadgen.workload.orderflow import Profile

# Version 1 called the send lag `slip_us_p99`.
SCHEMA_VERSION: Final = 2


class Generator(Struct, frozen=True):
    """Totals of the requests. `late`: the generator itself was late, so that no figure counts."""

    sent: int
    errors: int
    send_lag_us_p99: int
    late: bool


class WebhookResult(Struct, frozen=True, kw_only=True):
    """The stored result. `why` is empty when all requests were sent.

    `drained`: True if nothing was pending at the end. `cpu_us`: per webhook, by process.
    """

    schema_version: int
    scale: float
    seed: int
    kill_every_s: float
    profile: Profile
    machine: Machine
    commit: str
    started_at: str
    why: str
    interrupted: bool
    generator: Generator
    drained: bool
    figures: Figures
    cpu_us: Mapping[str, int]
    audit: Audit

    @property
    def exit_code(self) -> int:
        """The exit code of the most severe problem."""
        found = self.figures
        wrong = found.lost or found.foreign or found.wrong_signatures or not found.expected
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.why or wrong or not self.drained or self.generator.errors or self.audit == "fails":
            return EXIT_FAILED
        return EXIT_INVALID if self.generator.late else EXIT_OK

    def lines(self) -> Iterator[str]:
        """The result as lines of text."""
        found, sent = self.figures, self.generator
        killed = f"killed {found.kills} times" if found.kills else "never killed"
        yield (
            f"{self.scale:g} % of the profile, {self.profile.duration_s} s, seed {self.seed}, "
            f"{self.profile.brokers} brokers; the sender was {killed}"
        )
        yield f"requests    {sent.sent:>10,}  errors {sent.errors:,}"
        yield f"sides       {found.expected:>10,}  of trades; each must be delivered to its broker"
        yield f"delivered   {found.delivered:>10,}"
        yield f"lost        {found.lost:>10,}"
        yield f"repeated    {found.repeated:>10,}  under the same webhook-id"
        if found.foreign:
            yield f"FOREIGN     {found.foreign:>10,}  of no trade, or delivered to a wrong broker"
        yield f"signatures  {found.wrong_signatures:>10,}  wrong"
        yield f"{'latency ms':24}" + "".join(f"{name:>10}" for name in ("p50", "p90", "p99", "max"))
        for name, times in (
            ("trade to webhook", found.trade_to_webhook_us),
            ("  trade to outbox", found.trade_to_outbox_us),
            ("  outbox to webhook", found.outbox_to_webhook_us),
            ("away after a kill", found.away_us),
        ):
            if times is not None:
                row = (times.p50, times.p90, times.p99, times.max)
                yield f"{name:24}" + "".join(f"{us / 1_000:>10.1f}" for us in row)
        for name, cpu_us in self.cpu_us.items():
            yield f"{name:<12}{cpu_us:>10,}  us of CPU a webhook"
        if self.generator.late:
            yield (
                f"INVALID: requests left late (p99 {sent.send_lag_us_p99 / 1_000:.1f} ms), so the "
                "machine was too busy for these figures to count"
            )
        if not self.drained:
            yield "INCOMPLETE: webhooks were still waiting when the time for them was over"
        if self.why:
            yield f"INCOMPLETE: {self.why}"
