"""What a run found, as text and as JSON. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median_low

from msgspec import Struct

from loadgen.client.record import RequestRecord
from tests.chaos.notices import Notices
from tests.chaos.plan import Fault
from tests.chaos.reconciliation import Reconciliation

_SHOWN_MAX = 5
# More recoveries than these are told by their targets only.
_RECOVERIES_SHOWN_MAX = 60
# A server that is away, a record that was not delivered: restart recovers. The rest is a bug.
_GOOD_ENDS: frozenset[int | None] = frozenset({3, 5})
# 143 is the JVM's word for SIGTERM.
_GOOD_STOPS = _GOOD_ENDS | {0, 143}
_SUPERSEDED = 4


class Recovery(Struct, frozen=True):
    """From the heal until an order was answered 201, and until every service was ready.

    None: never; `ready_ms` also when nobody looked, as in a run by time.
    """

    faults: tuple[Fault, ...]
    next_order_ms: int | None
    ready_ms: int | None = None


class Struck(Struct, frozen=True):
    """What one target went through, and how long the exchange took to be well after it."""

    kinds: dict[str, int]
    recovery_ms_p50: int | None
    recovery_ms_max: int | None
    never: int


class Report(Struct, frozen=True, kw_only=True):
    """Everything there is to know about a run. `ended`: exit codes that nobody asked for."""

    seed: int
    duration_s: int
    recoveries: list[Recovery]
    answers: dict[str, int]
    reconciliation: Reconciliation
    contradictions: list[str]
    not_live: list[str]
    notices: Notices
    ended: dict[str, list[int | None]]
    stops: dict[str, list[int | None]]
    audit: list[str]
    audit_holds: bool
    one_by_one: bool = False

    @property
    def struck(self) -> dict[str, Struck]:
        """By target. A recovery from two faults at once counts for both."""
        targets = sorted(
            {fault.target for recovery in self.recoveries for fault in recovery.faults}
        )
        return {target: self._struck(target) for target in targets}

    def _struck(self, target: str) -> Struck:
        kinds: Counter[str] = Counter()
        times_ms: list[int] = []
        never = 0
        for recovery in self.recoveries:
            own = [fault.kind for fault in recovery.faults if fault.target == target]
            kinds.update(own)
            took_ms = self._took_ms(recovery)
            if own and took_ms is None:
                never += 1
            elif own and took_ms is not None:
                times_ms.append(took_ms)
        p50 = median_low(times_ms) if times_ms else None
        return Struck(dict(sorted(kinds.items())), p50, max(times_ms, default=None), never)

    def _took_ms(self, recovery: Recovery) -> int | None:
        parts = [recovery.next_order_ms]
        if self.one_by_one:
            parts.append(recovery.ready_ms)
        known = [part for part in parts if part is not None]
        return max(known) if len(known) == len(parts) else None

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be, apart from what the audit found."""
        struck = {fault.kind for recovery in self.recoveries for fault in recovery.faults}
        # Without a disk a broker ends itself; its supervisor brings it back.
        forgiven = {"kafka"} if "fill_disk" in struck else set()
        found = [f"LOST: {line}" for line in self.reconciliation.lost]
        found += [f"DOUBLED: {line}" for line in self.reconciliation.doubled]
        found += [f"CONTRADICTION: {line}" for line in self.contradictions]
        found += [f"NOT LIVE: {line}" for line in self.not_live]
        found += [f"WEBHOOK: {line}" for line in self.notices.wrong]
        found += [
            f"NOT LIVE: no order was taken after {_names(recovery.faults)}"
            for recovery in self.recoveries[-1:]
            if recovery.next_order_ms is None
        ]
        found += [
            f"NOT LIVE: not ready a minute after {_names(recovery.faults)}"
            for recovery in self.recoveries
            if self.one_by_one and recovery.ready_ms is None
        ]
        found += [
            f"EXIT CODE: {name} ended by itself with {code}"
            for name, code in _flat(self.ended)
            if code not in _GOOD_ENDS and name not in forgiven
        ]
        found += [
            f"EXIT CODE: {name} was to stop and ended with {code}"
            for name, code in _flat(self.stops)
            if code not in ({_SUPERSEDED} if name.startswith("usurped") else _GOOD_STOPS)
        ]
        return found

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return self.audit_holds and not self.wrong

    def _told_recoveries(self) -> Iterator[str]:
        if len(self.recoveries) <= _RECOVERIES_SHOWN_MAX:
            for recovery in self.recoveries:
                took = _seconds(self._took_ms(recovery))
                yield f"recovery {_names(recovery.faults):<60} {took:>8}"
        for target, struck in self.struck.items():
            kinds = ", ".join(f"{kind} {times}" for kind, times in struck.kinds.items())
            yield (
                f"struck   {target:<17} {sum(struck.kinds.values()):>5}, recovered p50 "
                f"{_seconds(struck.recovery_ms_p50)}, max {_seconds(struck.recovery_ms_max)}"
                f"{f', never {struck.never}' if struck.never else ''}  ({kinds})"
            )

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"seed {self.seed}"
        yield from self._told_recoveries()
        for answer, times in sorted(self.answers.items()):
            yield f"answer   {answer:<32} {times:>7,}"
        for name, codes in self.ended.items():
            yield f"ended    {name} by itself, exit codes {codes}"
        for name, codes in self.stops.items():
            yield f"stopped  {name}, exit codes {codes}"
        yield (
            f"acknowledged {self.reconciliation.acknowledged:,}, "
            f"cancelled {self.reconciliation.cancelled:,}, "
            f"trades {self.reconciliation.trades:,}"
        )
        yield f"lost {len(self.reconciliation.lost)}, doubled {len(self.reconciliation.doubled)}"
        told = self.notices
        yield f"webhooks: {told.told:,} of {told.sides:,} sides told, {told.repeated:,} repeats"
        yield from self.audit
        yield from self.wrong[:_SHOWN_MAX]
        hidden = len(self.wrong) - _SHOWN_MAX
        if hidden > 0:
            yield f"and {hidden} more"
        yield f"chaos: {'all holds' if self.holds else 'DOES NOT HOLD'} (seed {self.seed})"


def _seconds(took_ms: int | None) -> str:
    return "never" if took_ms is None else f"{took_ms / 1000:.1f} s"


def answers_of(lines: Iterable[RequestRecord]) -> dict[str, int]:
    """How often each kind of request was answered how."""
    return dict(Counter(_answer(line) for line in lines))


def _answer(line: RequestRecord) -> str:
    status = {0: "connection lost", 1: "timeout"}.get(line.answer.status, str(line.answer.status))
    return (
        f"{line.operation} {status} {line.answer.code if line.kind != 'transport' else ''}".rstrip()
    )


def _flat(codes: dict[str, list[int | None]]) -> Iterator[tuple[str, int | None]]:
    return ((name, code) for name, each in codes.items() for code in each)


def _names(faults: Iterable[Fault]) -> str:
    return " + ".join(map(str, faults))
