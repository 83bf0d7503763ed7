"""SHA-256 of everything that the engine produces from a golden log.

`python -m tests.golden.replay` prints them for every log and for its start; `golden.json` holds
those of version 0.1.0, and of a log with newer rules those of the first engine that had them.
They are never regenerated: a difference means that an old log would replay to other trades.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import msgspec
from msgspec import Struct

from schemas.codec import UnreadableError, decode_command, encode
from schemas.executions import Outcome
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.snapshot import SnapshotChecksum, SnapshotPosition, save
from tests.golden.command_logs import LOGS
from tests.golden.market import PARTITION, LoggedCommand

# Commands between two snapshots.
_SNAPSHOT_EVERY = 10_000
# Commands of the start of a log: what the small size replays.
START = 10_000
_TOPIC_ID = "golden"
_EPOCH = 7


class _Hashes:
    """One SHA-256 for each kind of bytes, each value followed by a line feed."""

    def __init__(self) -> None:
        self._all: dict[str, hashlib._Hash] = {}
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, value: bytes) -> None:
        found = self._all.setdefault(kind, hashlib.sha256())
        found.update(value)
        found.update(b"\n")

    def result(self) -> dict[str, str]:
        return {kind: found.hexdigest() for kind, found in sorted(self._all.items())}


class Replayed(Struct, frozen=True):
    """The SHA-256 by kind of bytes, and the number of events by kind."""

    sha256: dict[str, str]
    counts: dict[str, int]


class Golden(Replayed, frozen=True):
    """Replay of a whole log, with that of its first `START` commands."""

    start: Replayed


def replay(log: Iterable[LoggedCommand]) -> Replayed:
    """Apply the commands of a log to a new engine."""
    hashes = _Hashes()
    engine = Engine(PARTITION)
    for record in log:
        hashes.add("log", b"%d %d " % (record.offset, record.timestamp) + (record.value or b"-"))
        at = EnginePosition(PARTITION, record.offset, record.timestamp)
        try:
            command = decode_command(record.value)
        except UnreadableError:
            command = None
        outcome = engine.apply(command, at)
        hashes.counts[type(outcome.event).__name__] += 1
        hashes.counts["expired"] += len(outcome.expired)
        hashes.counts["expired_at_once"] = max(
            hashes.counts["expired_at_once"], len(outcome.expired)
        )
        hashes.counts.update(_of_newer_rules(outcome))
        hashes.add("outcomes", encode(outcome))
        for trade in trades_of(outcome, at):
            hashes.counts["trades"] += 1
            hashes.add("trades", encode(trade))
        for update in book_updates(outcome, at, engine):
            hashes.add("book", encode(update))
        if (record.offset + 1) % _SNAPSHOT_EVERY == 0:
            _add_snapshot(hashes, engine, record.offset + 1)
    return Replayed(hashes.result(), dict(sorted(hashes.counts.items())))


def _of_newer_rules(outcome: Outcome) -> Counter[str]:
    """The counts of what only newer rules bring about; a log without any has no such count."""
    event, elected = outcome.event, (*outcome.before, *outcome.after)
    took = [event, *elected]
    makers = [fill for each in took for fill in getattr(each, "fills", ())]
    counts = {
        "elected": len(elected),
        "elected_before": len(outcome.before),
        "price_band": sum(getattr(each, "closed_reason", None) == "price_band" for each in took),
        "prevented": sum(len(getattr(each, "prevented", ())) for each in took),
        "slices": sum(fill.maker_displayed_quantity is not None for fill in makers),
    }
    return Counter({kind: count for kind, count in counts.items() if count})


def _add_snapshot(hashes: _Hashes, engine: Engine, next_command: int) -> None:
    position = SnapshotPosition(_TOPIC_ID, _EPOCH, next_command, next_command)
    image, checksum = save(engine, position), SnapshotChecksum()
    for chunk in image.chunks():
        checksum.add(chunk)
        hashes.add("snapshot_chunks", chunk)
    hashes.add("snapshot_commits", encode(checksum.commit(image, 0)))
    hashes.add("digests", engine.digest())


def main() -> None:
    """Print the hashes and counts of every log as JSON."""
    found = {}
    for name, log in LOGS.items():
        whole, start = replay(log()), replay(islice(log(), START))
        found[name] = Golden(whole.sha256, whole.counts, start)
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


if __name__ == "__main__":
    main()
