"""The table of connections, and the choice of the one closed for a new client."""

from msgspec import Struct

from services.api.connections import KEYED_SILENCE_S_MIN, KEYLESS_SILENCE_S_MIN, ConnectionTable


class Stub(Struct, eq=False):
    """A connection; `evicted` is true once it was closed for another one."""

    busy: bool = False
    evicted: bool = False

    def evict(self) -> None:
        self.evicted = True


def test_addresses_of_one_ipv6_network_share_a_bound() -> None:
    table = ConnectionTable(10, 0, 2)
    first, second, third = Stub(), Stub(), Stub()
    for number, stub in enumerate((first, second, third)):
        assert table.add(stub, f"2001:db8::{number}", float(number)) == "admitted"
    assert (first.evicted, second.evicted, third.evicted) == (True, False, False)
    assert len(table) == 2


def test_new_connection_is_not_evicted_for_its_address() -> None:
    table = ConnectionTable(3, 0, 1)
    first, second, third, fourth = Stub(), Stub(), Stub(), Stub()
    table.add(first, "192.0.2.1", 0.0)
    table.add(second, "192.0.2.1", KEYLESS_SILENCE_S_MIN / 2)
    assert not first.evicted
    table.add(third, "192.0.2.1", KEYLESS_SILENCE_S_MIN)
    assert (first.evicted, second.evicted) == (True, False)
    # The bound of the port holds in any case.
    table.add(Stub(), "192.0.2.2", KEYLESS_SILENCE_S_MIN)
    table.add(fourth, "192.0.2.2", KEYLESS_SILENCE_S_MIN)
    assert (second.evicted, third.evicted, len(table)) == (True, False, 3)


def test_connections_of_many_addresses_evict_the_longest_silent_one() -> None:
    table = ConnectionTable(3, 0, 3)
    stubs = [Stub() for _ in range(4)]
    for number, stub in enumerate(stubs[:3]):
        table.add(stub, f"192.0.2.{number}", 0.0)
    table.heard(stubs[0], 1.0)
    assert table.add(stubs[3], "192.0.2.9", 2.0) == "admitted"
    assert [stub.evicted for stub in stubs] == [False, True, False, False]


def test_connections_with_a_key_are_evicted_only_when_silent_and_idle() -> None:
    table = ConnectionTable(2, 1, 9)
    busy, idle = Stub(busy=True), Stub()
    for stub in (busy, idle):
        table.add(stub, "192.0.2.1", 0.0)
        table.show_key(stub, 0.0)
    crowd = Stub()
    soon_s = KEYED_SILENCE_S_MIN - 1
    assert table.add(crowd, "192.0.2.2", soon_s) == "overflow"
    assert table.add(Stub(), "192.0.2.2", soon_s) == "refused"
    assert table.add(Stub(), "192.0.2.2", KEYED_SILENCE_S_MIN) == "admitted"
    assert (busy.evicted, idle.evicted, crowd.evicted) == (False, True, False)
    table.remove(crowd)
    for stub in (busy, idle):
        table.remove(stub)
    assert len(table) == 1
