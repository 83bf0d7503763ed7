"""The open connections of one port: a bound in all and one for each client address. Pure.

Connections that never showed a valid key give way, the longest silent first, so that a newcomer
always gets in: it may be a broker. A keyed connection gives way only where all others are keyed
too, and only if it was silent for a while and owes no answer.
"""

from collections import OrderedDict
from itertools import islice
from typing import Final, Literal, Protocol

from services.api.connection_limits import ConnectionLimits
from services.api.token_bucket import network_of

Admission = Literal["admitted", "overflow", "refused"]

# A client that was silent so long sends nothing at this very moment, as far as can be known.
KEYED_SILENCE_S_MIN: Final = 10.0
# Time for the first request of a connection to be read, even by a busy loop.
KEYLESS_SILENCE_S_MIN: Final = 0.1
# Keyed connections looked at for a silent one: a bound on the work of one newcomer.
_LOOKED_AT_MAX = 16


class Connection(Protocol):
    """One connection, in the form that the table uses it."""

    @property
    def busy(self) -> bool:
        """True while a request has no complete answer."""

    def evict(self) -> None:
        """Close it at once."""


class ConnectionTable:
    """Connections by the moment of their last bytes, oldest first."""

    def __init__(
        self, connections_max: int, overflow_connections_max: int, keyless_per_address_max: int
    ) -> None:
        self._connections_max = connections_max
        self._overflow_max = overflow_connections_max
        self._per_address_max = keyless_per_address_max
        self._keyless: OrderedDict[Connection, str] = OrderedDict()
        # Each with the time of its last bytes, or of its beginning.
        self._by_address: dict[str, OrderedDict[Connection, float]] = {}
        # Each with the time of its last bytes.
        self._keyed: OrderedDict[Connection, float] = OrderedDict()
        self._overflow: set[Connection] = set()

    def add(self, connection: Connection, address: str, now_s: float) -> Admission:
        """Admit a newcomer, which has shown no key yet, and close another one if it must be.

        `overflow`: beyond the limit, only to be answered that; `refused`: beyond that too.
        """
        address = network_of(address)
        neighbours = self._by_address.get(address)
        if neighbours is not None and len(neighbours) >= self._per_address_max:
            oldest, heard_s = next(iter(neighbours.items()))
            # One that just came may have sent a valid key that is not read yet.
            if now_s - heard_s >= KEYLESS_SILENCE_S_MIN:
                self._evict(oldest)
        if len(self) >= self._connections_max and not self._make_room(now_s):
            if len(self._overflow) >= self._overflow_max:
                return "refused"
            self._overflow.add(connection)
            return "overflow"
        self._keyless[connection] = address
        self._by_address.setdefault(address, OrderedDict())[connection] = now_s
        return "admitted"

    def heard(self, connection: Connection, now_s: float) -> None:
        """Note that bytes of a connection arrived."""
        if connection in self._keyed:
            self._keyed[connection] = now_s
            self._keyed.move_to_end(connection)
        elif connection in self._keyless:
            self._keyless.move_to_end(connection)
            neighbours = self._by_address[self._keyless[connection]]
            neighbours[connection] = now_s
            neighbours.move_to_end(connection)

    def show_key(self, connection: Connection, now_s: float) -> None:
        """Note that a request of a connection had a valid key."""
        if self._drop_keyless(connection):
            self._keyed[connection] = now_s

    def remove(self, connection: Connection) -> None:
        """Forget a closed connection; an unknown one is no error."""
        if not self._drop_keyless(connection):
            self._keyed.pop(connection, None)
            self._overflow.discard(connection)

    def __len__(self) -> int:
        return len(self._keyless) + len(self._keyed)

    def _make_room(self, now_s: float) -> bool:
        for connection in self._keyless:
            self._evict(connection)
            return True
        for connection, heard_s in islice(self._keyed.items(), _LOOKED_AT_MAX):
            if now_s - heard_s < KEYED_SILENCE_S_MIN:
                return False
            if not connection.busy:
                self._evict(connection)
                return True
        return False

    def _evict(self, connection: Connection) -> None:
        self.remove(connection)
        connection.evict()

    def _drop_keyless(self, connection: Connection) -> bool:
        address = self._keyless.pop(connection, None)
        if address is None:
            return False
        neighbours = self._by_address[address]
        del neighbours[connection]
        if not neighbours:
            del self._by_address[address]
        return True


def table_of(limits: ConnectionLimits) -> ConnectionTable:
    """An empty table with these limits."""
    return ConnectionTable(
        limits.connections_max, limits.overflow_connections_max, limits.keyless_per_address_max
    )
