"""Publishes a matcher's records: outcomes at once, public records later, ticks, quotas."""

from collections.abc import Sequence
from typing import Protocol

from schemas.book import BookUpdate
from schemas.codec import encode
from schemas.commands import SetQuotas, Tick
from schemas.executions import Outcome, Outcomes
from schemas.quotas import Quotas
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, TRADES
from schemas.trades import Trade

# Bounds of one execution record. A single outcome may exceed the bytes, because it is never split.
# A batch with more bytes is encoded again in halves. That is rare: 500 resting orders take 160 KB,
# so it needs a backlog in which most commands trade.
OUTCOMES_MAX = 500
RECORD_BYTES_MAX = 256 * 1024
# Matching pauses meanwhile, so a slower broker postpones the snapshot.
SETTLE_S = 0.25

_TICK = encode(Tick())


class RecordSender(Protocol):
    """Producer that sends records; implemented by `FailFastSender` and
    `TransactionalSender`."""

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None: ...
    def check(self) -> None: ...
    def settle(self, timeout_s: float) -> bool: ...
    def flush(self) -> None: ...


class OutcomePublisher:
    """Publishes with two senders: outcomes without delay, public records in transactions."""

    def __init__(self, prefix: str, outcomes: RecordSender, public: RecordSender) -> None:
        self._outcomes = outcomes
        self._public = public
        self._commands = COMMANDS.full_name(prefix)
        self._executions = EXECUTIONS.full_name(prefix)
        self._trades = TRADES.full_name(prefix)
        self._book = BOOK.full_name(prefix)

    def outcomes(
        self, partition: int, epoch: int, first_offset: int, outcomes: Sequence[Outcome]
    ) -> None:
        """Send the outcomes of consecutive commands, in as few records as the bounds allow."""
        if len(outcomes) <= OUTCOMES_MAX:
            value = encode(Outcomes(epoch, first_offset, tuple(outcomes)))
            if len(outcomes) == 1 or len(value) <= RECORD_BYTES_MAX:
                self._outcomes.send(self._executions, partition, str(partition).encode(), value)
                return
        half = len(outcomes) // 2
        self.outcomes(partition, epoch, first_offset, outcomes[:half])
        self.outcomes(partition, epoch, first_offset + half, outcomes[half:])

    def trade(self, partition: int, trade: Trade) -> None:
        """Publish a trade."""
        self._public.send(self._trades, partition, trade.symbol.encode(), encode(trade))

    def book_update(self, partition: int, update: BookUpdate) -> None:
        """Publish changed price levels."""
        self._public.send(self._book, partition, update.symbol.encode(), encode(update))

    def tick(self, partition: int) -> None:
        """Append a tick to the partition's commands, which advances its clock."""
        self._outcomes.send(self._commands, partition, None, _TICK)

    def set_quotas(self, partition: int, quotas: Quotas) -> None:
        """Append quotas to the partition's commands; they apply from there on."""
        self._outcomes.send(self._commands, partition, None, encode(SetQuotas(quotas)))

    def check(self) -> None:
        """Raises DeliveryError if a record was lost."""
        self._outcomes.check()
        self._public.check()

    def settle(self) -> bool:
        """Wait up to `SETTLE_S` until everything is acknowledged; False if it is not."""
        return self._outcomes.settle(SETTLE_S) and self._public.settle(SETTLE_S)

    def flush(self) -> None:
        """Wait until everything is acknowledged. Raises DeliveryError."""
        self._outcomes.flush()
        self._public.flush()
