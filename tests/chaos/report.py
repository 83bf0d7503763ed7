"""Report of a chaos run, as text and as JSON. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median_low

from msgspec import Struct

from loadgen.client.record import RequestRecord, RequestResult
from tests.chaos.plan import Fault
from tests.chaos.reconciliation import Reconciliation
from tests.chaos.webhook_check import WebhookCheck

# Bounds on the lines of a report, which people read on a terminal.
_FAILURES_SHOWN_MAX = 5
_RECOVERIES_SHOWN_MAX = 60
# 3: a server is unavailable, 5: a record was not delivered; a restart recovers. Others are bugs.
_RECOVERABLE_EXITS: frozenset[int | None] = frozenset({3, 5})
# 143: a JVM that was ended by SIGTERM.
_STOP_EXITS = _RECOVERABLE_EXITS | {0, 143}
# By the first word of a name: superseded by a newer matcher, and ended by SIGTERM before a service
# could handle it.
_EXITS_OF: dict[str, frozenset[int | None]] = {
    "superseded": frozenset({4}),
    "starting": frozenset({-15}),
}


class Recovery(Struct, frozen=True):
    """Time from the heal until an order was answered 201, and until every service was ready.

    None: never; `ready_ms` also in a run by time, which does not measure it.
    """

    faults: tuple[Fault, ...]
    next_order_ms: int | None
    ready_ms: int | None = None


class TargetStatistics(Struct, frozen=True):
    """Faults of one target by kind, and the recovery times; `never`: faults without recovery."""

    kinds: dict[str, int]
    recovery_ms_p50: int | None
    recovery_ms_max: int | None
    never: int


class Report(Struct, frozen=True, kw_only=True):
    """All results of a run. Exit codes by program: of unexpected ends, and of requested stops.

    `command`: repeats the run; empty if its plan was not drawn from the seed. `kinds`: how often
    each kind of market event occurred that a run must contain.
    """

    seed: int
    command: str
    duration_s: int
    recoveries: list[Recovery]
    answers: dict[str, int]
    reconciliation: Reconciliation
    contradictions: list[str]
    not_live: list[str]
    webhooks: WebhookCheck
    unexpected_exits: dict[str, list[int | None]]
    stop_exits: dict[str, list[int | None]]
    audit: list[str]
    audit_holds: bool
    kinds: dict[str, int]
    one_by_one: bool = False

    @property
    def by_target(self) -> dict[str, TargetStatistics]:
        """Statistics by target. A recovery from two faults at once counts for both."""
        targets = sorted(
            {fault.target for recovery in self.recoveries for fault in recovery.faults}
        )
        return {target: self._statistics(target) for target in targets}

    def _statistics(self, target: str) -> TargetStatistics:
        kinds: Counter[str] = Counter()
        times_ms: list[int] = []
        never = 0
        for recovery in self.recoveries:
            own = [fault.kind for fault in recovery.faults if fault.target == target]
            kinds.update(own)
            recovery_ms = self._recovery_ms(recovery)
            if own and recovery_ms is None:
                never += 1
            elif own and recovery_ms is not None:
                times_ms.append(recovery_ms)
        p50 = median_low(times_ms) if times_ms else None
        maximum = max(times_ms, default=None)
        return TargetStatistics(dict(sorted(kinds.items())), p50, maximum, never)

    def _recovery_ms(self, recovery: Recovery) -> int | None:
        parts = [recovery.next_order_ms]
        if self.one_by_one:
            parts.append(recovery.ready_ms)
        known = [part for part in parts if part is not None]
        return max(known) if len(known) == len(parts) else None

    @property
    def failures(self) -> list[str]:
        """All failures except those of the audit, one line each."""
        kinds = {fault.kind for recovery in self.recoveries for fault in recovery.faults}
        # A broker ends when its disk is full; its supervisor restarts it.
        expected_to_end = {"kafka"} if "fill_disk" in kinds else set()
        found = [f"LOST: {line}" for line in self.reconciliation.lost]
        found += [f"DUPLICATED: {line}" for line in self.reconciliation.duplicated]
        found += [f"CONTRADICTION: {line}" for line in self.contradictions]
        found += [f"NOT LIVE: {line}" for line in self.not_live]
        found += [f"WEBHOOK: {line}" for line in self.webhooks.failures]
        found += [f"NEVER: no {kind}" for kind, times in self.kinds.items() if not times]
        found += [
            f"NOT LIVE: no order was accepted after {_names(recovery.faults)}"
            for recovery in self.recoveries[-1:]
            if recovery.next_order_ms is None
        ]
        found += [
            f"NOT LIVE: not ready a minute after {_names(recovery.faults)}"
            for recovery in self.recoveries
            if self.one_by_one and recovery.ready_ms is None
        ]
        found += [
            f"EXIT CODE: {name} ended unexpectedly with {code}"
            for name, code in _flat(self.unexpected_exits)
            if code not in _RECOVERABLE_EXITS and name not in expected_to_end
        ]
        found += [
            f"EXIT CODE: {name} was stopped and ended with {code}"
            for name, code in _flat(self.stop_exits)
            if code not in _EXITS_OF.get(name.split()[0], _STOP_EXITS)
        ]
        return found

    @property
    def passed(self) -> bool:
        """True if the audit holds and there are no failures."""
        return self.audit_holds and not self.failures

    def _recovery_lines(self) -> Iterator[str]:
        if len(self.recoveries) <= _RECOVERIES_SHOWN_MAX:
            for recovery in self.recoveries:
                took = _seconds(self._recovery_ms(recovery))
                yield f"recovery {_names(recovery.faults):<60} {took:>8}"
        for target, found in self.by_target.items():
            kinds = ", ".join(f"{kind} {times}" for kind, times in found.kinds.items())
            yield (
                f"faults   {target:<17} {sum(found.kinds.values()):>5}, recovered p50 "
                f"{_seconds(found.recovery_ms_p50)}, max {_seconds(found.recovery_ms_max)}"
                f"{f', never {found.never}' if found.never else ''}  ({kinds})"
            )

    def lines(self) -> Iterator[str]:
        """The report as text, line by line."""
        yield f"seed {self.seed}"
        yield from self._recovery_lines()
        for answer, times in sorted(self.answers.items()):
            yield f"answer   {answer:<32} {times:>7,}"
        for kind, times in self.kinds.items():
            yield f"market   {kind:<32} {times:>7,}"
        for name, codes in self.unexpected_exits.items():
            yield f"ended    {name} unexpectedly, exit codes {codes}"
        for name, codes in self.stop_exits.items():
            yield f"stopped  {name}, exit codes {codes}"
        yield (
            f"acknowledged {self.reconciliation.acknowledged:,}, "
            f"cancelled {self.reconciliation.cancelled:,}, "
            f"trades {self.reconciliation.trades:,}"
        )
        lost, duplicated = self.reconciliation.lost, self.reconciliation.duplicated
        yield f"lost {len(lost)}, duplicated {len(duplicated)}"
        sent = self.webhooks
        yield (
            f"webhooks: {sent.received:,} of {sent.expected:,} received, {sent.repeated:,} repeats"
        )
        yield from self.audit
        yield from self.failures[:_FAILURES_SHOWN_MAX]
        hidden = len(self.failures) - _FAILURES_SHOWN_MAX
        if hidden > 0:
            yield f"and {hidden} more"
        yield f"chaos: {'passed' if self.passed else 'FAILED'} (seed {self.seed})"
        if self.command and not self.passed:
            yield f"repeat it with: {self.command}"


def _seconds(took_ms: int | None) -> str:
    return "never" if took_ms is None else f"{took_ms / 1000:.1f} s"


def answers_of(
    lines: Iterable[RequestRecord], others: Mapping[str, Iterable[RequestResult]]
) -> dict[str, int]:
    """Number of requests by operation and answer; `others`: those without a record."""
    found = Counter(
        _answer(line.operation, line.answer, with_code=line.kind != "transport") for line in lines
    )
    for operation, answers in others.items():
        found.update(_answer(operation, each, with_code=bool(each.status)) for each in answers)
    return dict(found)


def _answer(operation: str, answer: RequestResult, *, with_code: bool) -> str:
    status = {0: "connection lost", 1: "timeout"}.get(answer.status, str(answer.status))
    return f"{operation} {status} {answer.code if with_code else ''}".rstrip()


def _flat(codes: dict[str, list[int | None]]) -> Iterator[tuple[str, int | None]]:
    return ((name, code) for name, each in codes.items() for code in each)


def _names(faults: Iterable[Fault]) -> str:
    return " + ".join(map(str, faults))
