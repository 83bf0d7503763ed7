"""Result of an audit: one line per invariant, with counts and the first differences. Pure."""

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

SAMPLES_MAX = 5

Name = Literal[
    "outcomes",
    "answers",
    "recomputed",
    "snapshots",
    "quantities",
    "bought_sold",
    "cash",
    "crossed",
    "priority",
    "conditions",
    "slices",
    "amendments",
    "instruments",
    "phases",
    "stops",
    "protections",
    "sequences",
    "validity",
    "final_state",
    "partition",
    "owner",
    "trades_topic",
    "book_topic",
    "acknowledged",
    "refused",
    "stored",
    "stored_orders",
    "stored_trades",
    "stored_sums",
    "stored_candles",
    "stored_events",
    "stored_brokers",
    "stored_webhooks",
]

# In the order of the report: the invariant, and the unit of its count.
TEXTS: dict[Name, tuple[str, str]] = {
    "outcomes": ("every command has one outcome, in order", "commands"),
    "answers": ("every outcome is what its command asked for", "outcomes"),
    "recomputed": ("recomputed outcomes equal the recorded ones", "outcomes"),
    "snapshots": ("every snapshot is the engine of the log", "snapshots"),
    "quantities": ("original = filled + remaining + cancelled + expired", "orders"),
    "bought_sold": ("bought = sold, per symbol", "symbols"),
    "cash": ("cash of all brokers sums to zero", "brokers"),
    "crossed": ("no book is crossed at rest", "commands"),
    "priority": ("every trade takes the best price, the oldest order", "fills"),
    "conditions": ("every order keeps to its conditions", "orders"),
    "slices": ("the book shows one slice of each iceberg order", "slices"),
    "amendments": ("amended orders keep their place by the rule alone", "amendments"),
    "instruments": ("every order keeps to its symbol's instrument", "orders"),
    "phases": ("orders enter and trade in their phase, day orders end", "orders"),
    "stops": ("stops are elected by trades, in order, each once", "elections"),
    "protections": ("no order trades against its own or outside the band", "fills"),
    "sequences": ("trades and book changes are numbered without a gap", "events"),
    "validity": ("no fill at or after valid_until, no expiry before", "fills"),
    "final_state": ("one final state per order, nothing after it", "orders"),
    "partition": ("symbols and order ids keep to one partition", "orders"),
    "owner": ("only its owner changes an order", "commands"),
    "trades_topic": ("trades topic = trades of the outcomes, each once", "trades"),
    "book_topic": ("book topic = changes of the books, and rebuilds them", "updates"),
    "acknowledged": ("acknowledged orders are in the log once", "orders"),
    "refused": ("refused orders are not in the log", "orders"),
    "stored": ("PostgreSQL has everything recorded", "commands"),
    "stored_orders": ("orders in PostgreSQL = log", "rows"),
    "stored_trades": ("trades in PostgreSQL = log", "rows"),
    "stored_sums": ("book sequences, balances, clocks in PostgreSQL = log", "rows"),
    "stored_candles": ("candles in PostgreSQL = trades of the log", "candles"),
    "stored_events": ("numbers of own events in PostgreSQL = log", "rows"),
    "stored_brokers": ("brokers in PostgreSQL = brokers topic", "rows"),
    "stored_webhooks": ("webhooks queued = sides of trades with a URL", "webhooks"),
}


class Invariant(Struct):
    """One invariant: `differences` of the `checked` items violate it."""

    name: Name
    text: str
    unit: str
    checked: int = 0
    differences: int = 0
    samples: list[str] = []
    note: str = ""

    def fail(self, sample: str, count: int = 1) -> None:
        """Record a difference, or several of a kind; the first few are reported in full."""
        self.differences += count
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append(sample)

    def remark(self, note: str) -> None:
        """Add a note, unless it was made before."""
        if note not in self.note.split("; "):
            self.note = "; ".join(filter(None, (self.note, note)))

    def add(self, more: "Invariant") -> None:
        """Add the counts and samples of another part of the audit."""
        self.checked += more.checked
        self.differences += more.differences
        self.samples = [*self.samples, *more.samples][:SAMPLES_MAX]
        for note in filter(None, more.note.split("; ")):
            self.remark(note)

    def line(self) -> str:
        """The invariant's line of the report."""
        mark = "FAIL" if self.differences else "ok  "
        line = f"{mark} {self.text:<52} {self.checked:>11,} {self.unit}"
        if self.differences:
            line += f", {self.differences:,} wrong"
        return line + (f" ({self.note})" if self.note else "")


class AuditReport:
    """Every invariant by name. Those that were left out are not part of the result."""

    def __init__(self) -> None:
        self._all = {name: Invariant(name, *texts) for name, texts in TEXTS.items()}
        self._left_out: set[Name] = set()

    def __getitem__(self, name: Name) -> Invariant:
        return self._all[name]

    def leave_out(self, *names: Name) -> None:
        """Leave out invariants that this run cannot check."""
        self._left_out.update(names)

    def add(self, more: Iterable[Invariant]) -> None:
        """Add the report of another part of the audit."""
        for invariant in more:
            self._all[invariant.name].add(invariant)

    def invariants(self) -> list[Invariant]:
        """The checked invariants in the order of the report."""
        return [found for name, found in self._all.items() if name not in self._left_out]

    def of_the_log(self) -> list[Invariant]:
        """The invariants whose counts show how much of the log was examined."""
        return [self._all[name] for name in ("outcomes", "stored_orders", "stored_trades")]

    @property
    def holds(self) -> bool:
        """True if there is no difference at all."""
        return not any(invariant.differences for invariant in self.invariants())

    def lines(self) -> Iterator[str]:
        """The report as text."""
        for invariant in self.invariants():
            yield invariant.line()
            for sample in invariant.samples:
                yield f"       {sample}"
        wrong = sum(invariant.differences > 0 for invariant in self.invariants())
        yield "audit: all hold" if not wrong else f"audit: {wrong} invariants do not hold"
