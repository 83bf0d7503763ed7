"""View of own events: their numbers by broker and partition, and the newest ones.

Pure. A number counts the broker's events on the partition from the log's first command on, so it is
the same on every gateway, and any of them can resume a client.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from schemas.orders import OrderRecord, OrderTrade
from schemas.own_events import OwnEvent

# Of all brokers together: about 40 MiB.
KEPT_MAX: Final = 100_000
_NO_TRADES: list[OrderTrade] = []


class NumberedEvent(Struct, frozen=True, gc=False):
    """An own event. `order`: its state behind the command, a copy if open; None: there is none.

    `time` in milliseconds.
    """

    partition: int
    sequence: int
    command: int
    time: int
    event: OwnEvent
    order: OrderRecord | None


class _Broker:
    # Its newest number by partition, and its events that are kept, in the order of the log.
    __slots__ = ("newest", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.newest: deque[NumberedEvent] = deque()


class OwnEvents:
    """Numbers and newest events of all brokers."""

    def __init__(self) -> None:
        self._brokers: dict[str, _Broker] = {}
        # The broker of each event that is kept, oldest first.
        self._newest: deque[_Broker] = deque()
        # Those of the batch that was applied last.
        self.latest: list[NumberedEvent] = []

    def restore(self, broker_id: str, partition: int, events: int) -> None:
        """Load the number of a broker's events so far on a partition."""
        self._brokers.setdefault(broker_id, _Broker()).numbers[partition] = events

    def add(
        self, event: OwnEvent, at: tuple[int, int], time: int, order: OrderRecord | None
    ) -> None:
        """Number an event; `at`: partition and command."""
        partition, command = at
        broker = self._brokers.get(event.broker_id)
        if broker is None:
            broker = self._brokers[event.broker_id] = _Broker()
        sequence = broker.numbers[partition] = broker.numbers.get(partition, 0) + 1
        if order is not None and order.closed_reason is None:
            # Later commands change it. Without its trades: they extend the list.
            order = structs.replace(order, trades=_NO_TRADES)
        numbered = NumberedEvent(partition, sequence, command, time, event, order)
        self.latest.append(numbered)
        broker.newest.append(numbered)
        self._newest.append(broker)
        if len(self._newest) > KEPT_MAX:
            self._newest.popleft().newest.popleft()

    def numbers(self, broker_id: str) -> Mapping[int, int]:
        """The number of the broker's newest event by partition, of those with any."""
        broker = self._brokers.get(broker_id)
        return {} if broker is None else broker.numbers

    def all_numbers(self) -> dict[tuple[str, int], int]:
        """The number of the newest event by broker and partition."""
        return {
            (broker_id, partition): newest
            for broker_id, broker in self._brokers.items()
            for partition, newest in broker.numbers.items()
        }

    def before(self, broker_id: str, commands: Mapping[int, int]) -> dict[int, int] | None:
        """The number of the broker's last event before each of these commands, by partition.

        None if the events from there on are not all kept.
        """
        found = dict(self.numbers(broker_id))
        behind = self._brokers[broker_id].newest if found else ()
        counts = Counter(
            each.partition for each in behind if each.command >= commands.get(each.partition, 0)
        )
        kept = Counter(each.partition for each in behind)
        for partition, number in found.items():
            found[partition] = number - counts[partition]
            # Without an event before the command it is unknown whether one is missing.
            if counts[partition] == kept[partition] and found[partition]:
                return None
        return found

    def since(self, broker_id: str, after: Mapping[int, int]) -> list[NumberedEvent] | None:
        """The broker's events beyond these numbers, by partition, in the order of the log.

        None if some of them are no longer kept, or if a number is beyond the newest.
        """
        broker = self._brokers.get(broker_id, _Broker())
        numbers = broker.numbers
        if any(last > numbers.get(partition, 0) for partition, last in after.items()):
            return None
        missing = sum(newest - after.get(each, 0) for each, newest in numbers.items())
        if not missing:
            return []
        found = [each for each in broker.newest if each.sequence > after.get(each.partition, 0)]
        return found if len(found) == missing else None
