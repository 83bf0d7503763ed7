"""The output of one connection: what is to be written, and what waits while it does not read.

Trades and responses are lossless: they queue while the client is behind, up to a bound at which it
is cut. Books, ladders, tickers and running candles are conflated: a client that is behind gets the
newest whole one later.
"""

from collections import deque
from typing import Final, Literal, NamedTuple, Protocol

from schemas.candles import Interval
from schemas.feed_requests import ChannelName, LadderDepth

BACKLOG_BYTES_MAX: Final = 1024 * 1024
BEHIND_S_MAX: Final = 10.0
# For the responses that a client waits for when the process stops.
GRACE_MS: Final = 2_000

Reason = Literal["subscribed", "resync", "conflated"]


class Subject(NamedTuple):
    """A channel of one symbol, or of all (`*`); `depth` of a ladder, `interval` of candles.

    `raw`: each command's change at once, instead of the changes of a flush.
    """

    channel: ChannelName
    symbol: str
    depth: LadderDepth | Literal[0] = 0
    interval: Interval | None = None
    raw: bool = False


class Output(Protocol):
    """The connection of a client, in the form that the hub uses it."""

    def write(self, frames: bytes) -> None:
        """Write whole frames."""

    def buffered(self) -> int:
        """Bytes that were written and that the kernel has not taken."""

    def cut(self, code: int, reason: str) -> None:
        """End the connection with this close code."""


class FeedClient:
    """One connection's subscriptions and its waiting output. Lives on the loop's thread."""

    def __init__(self, output: Output, address: str) -> None:
        self.output = output
        self.address = address
        # The broker whose key it showed.
        self.broker_id: str | None = None
        self.subjects: dict[Subject, None] = {}
        # Subjects of which a whole message is due, with the reason.
        self.due: dict[Subject, Reason] = {}
        self._out: list[bytes] = []
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._behind_since_s: float | None = None
        # All clients of its hub that are behind, this one too while it is.
        self.all_behind: dict[FeedClient, None] = {}

    @property
    def behind(self) -> bool:
        """True while the client does not read fast enough."""
        return self._behind_since_s is not None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that this process keeps for the client."""
        return self._backlog_bytes + self.output.buffered()

    def send(self, frame: bytes) -> None:
        """Write a lossless frame with the next `write_out`, or queue it while behind."""
        if self.behind:
            self._backlog.append(frame)
            self._backlog_bytes += len(frame)
        else:
            self._out.append(frame)

    def takes(self, subject: Subject) -> bool:
        """True if a change of a conflated channel is written; otherwise a whole message is due."""
        return not self.behind and subject not in self.due

    def conflate(self, subject: Subject, frame: bytes) -> None:
        """Write a frame of a conflated channel; while behind, a whole one is due instead."""
        if self.takes(subject):
            self._out.append(frame)
        else:
            self.due.setdefault(subject, "conflated")

    def write_out(self) -> None:
        """Write what `send` and `conflate` collected, as one piece."""
        if self._out:
            frames = b"".join(self._out)
            self._out.clear()
            self.output.write(frames)

    def fall_behind(self, now_s: float) -> None:
        """The connection's buffer is above its high-water mark."""
        if self._behind_since_s is None:
            self._behind_since_s = now_s
            self.all_behind[self] = None

    def catch_up(self) -> None:
        """The buffer is below its low-water mark again: write the backlog."""
        self._behind_since_s = None
        self.all_behind.pop(self, None)
        self._out.extend(self._backlog)
        self._backlog.clear()
        self._backlog_bytes = 0
        self.write_out()

    def too_slow(self, now_s: float) -> bool:
        """True if the backlog or the time behind is beyond its bound."""
        if self._behind_since_s is None:
            return False
        late = now_s - self._behind_since_s > BEHIND_S_MAX
        return late or self._backlog_bytes > BACKLOG_BYTES_MAX
