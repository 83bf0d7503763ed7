"""Rows found and sums made while partitions were compared with PostgreSQL. Pure."""

from msgspec import Struct

# Partition, symbol, interval and start.
CandleKey = tuple[int, str, str, int]


class StoredSums(Struct):
    """Rows and sums of one connection, or of all.

    `present` and `absent` are rows by table; `balances` shares and cents by broker and symbol;
    `first` the first command that is examined, of partitions whose log lost its beginning;
    `candles` open, close, low, high, shares, cents, trades, first and last sequence; `webhooks` the
    rows that are present, and `webhooks_absent` those that are missing, by broker; `own_events`
    events by partition and broker.
    """

    present: dict[str, int]
    absent: dict[str, int]
    balances: dict[str, list[int]] = {}
    first: dict[int, int] = {}
    candles: dict[CandleKey, list[int]] = {}
    webhooks: int = 0
    webhooks_absent: dict[str, int] = {}
    own_events: dict[tuple[int, str], int] = {}

    def add(self, more: "StoredSums") -> None:
        """Add those of other partitions."""
        _add(self.present, more.present)
        _add(self.absent, more.absent)
        _add(self.webhooks_absent, more.webhooks_absent)
        for key, sums in more.balances.items():
            known = self.balances.get(key, [0, 0])
            self.balances[key] = [one + other for one, other in zip(known, sums, strict=True)]
        self.first |= more.first
        self.candles |= more.candles
        self.own_events |= more.own_events
        self.webhooks += more.webhooks


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
