"""Too many connections, over real sockets: those without a valid key are closed first."""

from msgspec import structs

from tests.contract.test_http_sockets import BOUNDS, GET, GET_WITH_KEY, cut, edge
from tests.support.edge_server import RawClient, connected, serving


def test_idle_connections_without_a_key_are_closed_for_one_with_a_key() -> None:
    before = cut("evicted")
    with serving(edge(), BOUNDS) as port, connected(port, BOUNDS.connections_max) as keyless:
        for each in keyless:
            each.send(GET)
            assert each.answers(1) == [200]
        with RawClient(port) as broker:
            broker.send(GET_WITH_KEY)
            assert broker.answers(1) == [200]
            assert cut("evicted") == before + 1
            assert keyless[0].rest() == b""
            with connected(port, 3 * BOUNDS.connections_max):
                broker.send(GET_WITH_KEY)
                assert broker.answers(1) == [200]


def test_connections_of_an_address_without_a_key_are_bounded() -> None:
    before = cut("evicted")
    bounds = structs.replace(BOUNDS, keyless_per_address_max=3, idle_s=60)
    with serving(edge(), bounds) as port, connected(port, 1) as brokers:
        brokers[0].send(GET_WITH_KEY)
        assert brokers[0].answers(1) == [200]
        with connected(port, 3) as keyless:
            # The oldest sends last, so the second is the longest idle.
            for each in (*keyless[1:], keyless[0]):
                each.send(GET)
                assert each.answers(1) == [200]
            with RawClient(port) as fourth:
                fourth.send(GET)
                assert fourth.answers(1) == [200]
            assert keyless[1].rest() == b""
            keyless[0].send(GET)
            assert keyless[0].answers(1) == [200]
        brokers[0].send(GET_WITH_KEY)
        assert brokers[0].answers(1) == [200]
    assert cut("evicted") == before + 1


def test_connection_without_a_key_is_closed_sooner_than_one_with_a_key() -> None:
    bounds = structs.replace(BOUNDS, keyless_idle_s=1, idle_s=60)
    with serving(edge(), bounds) as port, connected(port, 2) as (keyless, broker):
        for each, request in ((keyless, GET), (broker, GET_WITH_KEY)):
            each.send(request)
            assert each.answers(1) == [200]
        assert keyless.rest() == b""
        broker.send(GET_WITH_KEY)
        assert broker.answers(1) == [200]
