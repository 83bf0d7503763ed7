"""Replay of a command log from standard input by a new engine; writes every resulting value.

`python -m tests.properties.replay < LOG > BYTES`; each line of LOG is a LoggedCommand in JSON.
"""

import sys
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from schemas.codec import UnreadableError, decode_command, encode
from services.matcher.engine import Engine, EnginePosition
from services.matcher.market_data import book_updates, trades_of
from services.matcher.rules import Rules

PARTITION = 3
# Small, so that a flow reaches every limit and whole books are published.
RULES = Rules(
    fills_max=3,
    expiries_max=2,
    client_ids_max=5,
    client_id_window_ms=20,
    client_id_block=4,
    whole_book_every=10,
)


class LoggedCommand(Struct, frozen=True, array_like=True):
    """A record of the command log; `value` may be unreadable as a command."""

    offset: int
    timestamp: int
    value: str


def replayed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of each outcome, of its trades and book updates, and of the final state."""
    engine = Engine(PARTITION, RULES)
    for line in lines:
        logged = msgspec.json.decode(line, type=LoggedCommand)
        at = EnginePosition(PARTITION, logged.offset, logged.timestamp)
        try:
            outcome = engine.apply(decode_command(logged.value.encode()), at)
        except UnreadableError:
            outcome = engine.apply(None, at)
        yield encode(outcome)
        yield from map(encode, trades_of(outcome, at))
        yield from map(encode, book_updates(outcome, at, engine))
    yield engine.digest().hex().encode()


if __name__ == "__main__":
    for value in replayed(sys.stdin.buffer):
        sys.stdout.buffer.write(value + b"\n")
