"""Too many connections, over real sockets: the ones without a valid key give way."""

from msgspec import structs

from tests.contract.test_http_sockets import BOUNDS, GET, GET_WITH_KEY, cut, edge
from tests.support.edge_server import RawClient, connected, serving


def test_silent_connections_without_a_key_give_way_to_a_valid_key() -> None:
    before = cut("evicted")
    with serving(edge(), BOUNDS) as port, connected(port, BOUNDS.connections_max) as strangers:
        for each in strangers:
            each.send(GET)
            assert each.answers(1) == [200]
        with RawClient(port) as broker:
            broker.send(GET_WITH_KEY)
            assert broker.answers(1) == [200]
            assert cut("evicted") == before + 1
            assert strangers[0].rest() == b""
            with connected(port, 3 * BOUNDS.connections_max):
                broker.send(GET_WITH_KEY)
                assert broker.answers(1) == [200]


def test_connections_of_an_address_without_a_key_are_bounded() -> None:
    before = cut("evicted")
    bounds = structs.replace(BOUNDS, keyless_per_address_max=3, idle_s=60)
    with serving(edge(), bounds) as port, connected(port, 1) as brokers:
        brokers[0].send(GET_WITH_KEY)
        assert brokers[0].answers(1) == [200]
        with connected(port, 3) as strangers:
            # The oldest speaks last, so the second is the longest silent.
            for each in (*strangers[1:], strangers[0]):
                each.send(GET)
                assert each.answers(1) == [200]
            with RawClient(port) as fourth:
                fourth.send(GET)
                assert fourth.answers(1) == [200]
            assert strangers[1].rest() == b""
            strangers[0].send(GET)
            assert strangers[0].answers(1) == [200]
        brokers[0].send(GET_WITH_KEY)
        assert brokers[0].answers(1) == [200]
    assert cut("evicted") == before + 1


def test_connection_without_a_key_is_closed_sooner_than_one_with_a_key() -> None:
    bounds = structs.replace(BOUNDS, keyless_idle_s=1, idle_s=60)
    with serving(edge(), bounds) as port, connected(port, 2) as (stranger, broker):
        for each, request in ((stranger, GET), (broker, GET_WITH_KEY)):
            each.send(request)
            assert each.answers(1) == [200]
        assert stranger.rest() == b""
        broker.send(GET_WITH_KEY)
        assert broker.answers(1) == [200]
