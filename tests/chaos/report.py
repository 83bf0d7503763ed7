"""What a run found, as text and as JSON. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from loadgen.record import Line
from tests.chaos.plan import Fault
from tests.chaos.tally import Tally

_SHOWN_MAX = 5
# A server that is away, a record that was not delivered: restart recovers. The rest is a bug.
_GOOD_ENDS: frozenset[int | None] = frozenset({3, 5})
# 143 is the JVM's word for SIGTERM.
_GOOD_STOPS = _GOOD_ENDS | {0, 143}
_SUPERSEDED = 4


class Recovery(Struct, frozen=True):
    """`next_order_ms`: from the heal until an order was answered 201; None: never."""

    faults: tuple[Fault, ...]
    next_order_ms: int | None


class Report(Struct, frozen=True, kw_only=True):
    """Everything there is to know about a run. `ended`: exit codes that nobody asked for."""

    seed: int
    duration_s: int
    recoveries: list[Recovery]
    answers: dict[str, int]
    tally: Tally
    contradictions: list[str]
    not_live: list[str]
    ended: dict[str, list[int | None]]
    stops: dict[str, list[int | None]]
    audit: list[str]
    audit_holds: bool

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be, apart from what the audit found."""
        struck = {fault.kind for recovery in self.recoveries for fault in recovery.faults}
        # Without a disk a broker ends itself; its supervisor brings it back.
        forgiven = {"kafka"} if "fill_disk" in struck else set()
        found = [f"LOST: {line}" for line in self.tally.lost]
        found += [f"DOUBLED: {line}" for line in self.tally.doubled]
        found += [f"CONTRADICTION: {line}" for line in self.contradictions]
        found += [f"NOT LIVE: {line}" for line in self.not_live]
        found += [
            f"NOT LIVE: no order was taken after {_names(recovery.faults)}"
            for recovery in self.recoveries[-1:]
            if recovery.next_order_ms is None
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

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"seed {self.seed}"
        kinds = Counter((f.kind, f.target) for r in self.recoveries for f in r.faults)
        for (kind, target), times in sorted(kinds.items()):
            yield f"fault    {kind:<14} {target:<17} {times:>5}"
        for recovery in self.recoveries:
            after = recovery.next_order_ms
            told = "never" if after is None else f"{after / 1000:.1f} s"
            yield f"recovery {_names(recovery.faults):<50} {told:>8}"
        for answer, times in sorted(self.answers.items()):
            yield f"answer   {answer:<32} {times:>7,}"
        for name, codes in self.ended.items():
            yield f"ended    {name} by itself, exit codes {codes}"
        for name, codes in self.stops.items():
            yield f"stopped  {name}, exit codes {codes}"
        yield (
            f"acknowledged {self.tally.acknowledged:,}, cancelled {self.tally.cancelled:,}, "
            f"trades {self.tally.trades:,}"
        )
        yield f"lost {len(self.tally.lost)}, doubled {len(self.tally.doubled)}"
        yield from self.audit
        yield from self.wrong[:_SHOWN_MAX]
        hidden = len(self.wrong) - _SHOWN_MAX
        if hidden > 0:
            yield f"and {hidden} more"
        yield f"chaos: {'all holds' if self.holds else 'DOES NOT HOLD'} (seed {self.seed})"


def answers_of(lines: Iterable[Line]) -> dict[str, int]:
    """How often each kind of request was answered how."""
    return dict(Counter(_answer(line) for line in lines))


def _answer(line: Line) -> str:
    status = {0: "connection lost", 1: "timeout"}.get(line.answer.status, str(line.answer.status))
    return (
        f"{line.operation} {status} {line.answer.code if line.kind != 'transport' else ''}".rstrip()
    )


def _flat(codes: dict[str, list[int | None]]) -> Iterator[tuple[str, int | None]]:
    return ((name, code) for name, each in codes.items() for code in each)


def _names(faults: Iterable[Fault]) -> str:
    return " + ".join(map(str, faults))
