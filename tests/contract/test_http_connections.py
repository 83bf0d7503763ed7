"""Too many connections, over real sockets: those without a valid key are closed first."""

import time

from msgspec import structs

from services.api.connections import KEYLESS_SILENCE_S_MIN
from services.api.rate_limits import RateLimits
from tests.contract.test_http_sockets import BOUNDS, GET, GET_WITH_KEY, code_of, cut, edge
from tests.support.edge_server import RawClient, connected, serving

# No client is cut for its slowness, which a busy machine may cause.
PATIENT = structs.replace(BOUNDS, head_s=60, idle_s=60)


def test_idle_connections_without_a_key_are_closed_for_one_with_a_key() -> None:
    before = cut("evicted")
    with serving(edge(), PATIENT) as port, connected(port, PATIENT.connections_max) as keyless:
        for each in keyless:
            each.send(GET)
            assert each.answers(1) == [200]
        with RawClient(port) as broker:
            broker.send(GET_WITH_KEY)
            assert broker.answers(1) == [200]
            assert cut("evicted") == before + 1
            assert keyless[0].rest() == b""
            with connected(port, 3 * PATIENT.connections_max):
                broker.send(GET_WITH_KEY)
                assert broker.answers(1) == [200]


def test_connections_of_an_address_without_a_key_are_bounded() -> None:
    before = cut("evicted")
    bounds = structs.replace(PATIENT, keyless_per_address_max=3)
    with serving(edge(), bounds) as port, connected(port, 1) as brokers:
        brokers[0].send(GET_WITH_KEY)
        assert brokers[0].answers(1) == [200]
        with connected(port, 3) as keyless:
            # The oldest sends last, so the second is the longest idle.
            for each in (*keyless[1:], keyless[0]):
                each.send(GET)
                assert each.answers(1) == [200]
            time.sleep(2 * KEYLESS_SILENCE_S_MIN)
            keyless[0].send(GET)
            assert keyless[0].answers(1) == [200]
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
    bounds = structs.replace(PATIENT, keyless_idle_s=1)
    with serving(edge(), bounds) as port, connected(port, 2) as (keyless, broker):
        for each, request in ((keyless, GET), (broker, GET_WITH_KEY)):
            each.send(request)
            assert each.answers(1) == [200]
        assert keyless.rest() == b""
        broker.send(GET_WITH_KEY)
        assert broker.answers(1) == [200]


ECHO_WITHOUT_KEY = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
ONE_A_SECOND = RateLimits(keyless_per_second=1)


def spend(client: RawClient) -> None:
    """Use up the burst of ONE_A_SECOND."""
    client.send(GET * 10)
    assert client.answers(10) == [200] * 10


def test_flood_without_a_key_is_held_and_a_valid_key_is_answered_meanwhile() -> None:
    bounds = structs.replace(PATIENT, connections_max=100)
    with serving(edge(ONE_A_SECOND), bounds) as port, connected(port, 30) as keyless:
        spend(keyless[0])
        begun_s = time.monotonic()
        for each in keyless[1:]:
            each.send(GET * 3 + ECHO_WITHOUT_KEY)
        with RawClient(port) as broker:
            for _ in range(20):
                broker.send(GET_WITH_KEY)
                assert broker.answers(1) == [200]
            assert time.monotonic() - begun_s < 0.8
        raw = keyless[-1].rest()
        assert time.monotonic() - begun_s > 0.8
        assert raw.startswith(b"HTTP/1.1 429 ")
        assert raw.count(b"HTTP/1.1 ") == 1
        assert code_of(raw) == "rate_limited"
        assert b"retry-after: " in raw


def test_new_connection_with_a_valid_key_is_answered_during_a_flood_without_one() -> None:
    bounds = structs.replace(PATIENT, connections_max=100)
    with serving(edge(ONE_A_SECOND), bounds) as port, connected(port, 15) as keyless:
        spend(keyless[0])
        for each in keyless[1:]:
            each.send(GET)
        for _ in range(5):
            with RawClient(port) as broker:
                broker.send(GET_WITH_KEY)
                assert broker.answers(1) == [200]
