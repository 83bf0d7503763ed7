"""The window of client order ids holds no more than it may, by count and by time."""

from services.matcher.window import ClientId, ClientIdWindow
from tests.support.orders import limit


def client_id(number: int) -> ClientId:
    return ClientId("ann", "PETR4", f"c{number}")


def test_window_beyond_its_count_forgets_the_oldest() -> None:
    window = ClientIdWindow(ids_max=3, window_ms=100)
    for number in range(5):
        window.remember(client_id(number), limit(number), clock=number)
    assert len(window) == 3
    assert [entry[0] for entry in window.entries()] == [client_id(2), client_id(3), client_id(4)]
    assert window.find(client_id(1), clock=5) is None
    found = window.find(client_id(2), clock=5)
    assert found is not None
    assert found.time == 2


def test_window_after_its_time_is_empty() -> None:
    window = ClientIdWindow(ids_max=3, window_ms=100)
    window.remember(client_id(1), limit(1), clock=10)
    window.remember(client_id(2), limit(2), clock=11)
    assert window.find(client_id(1), clock=109) is not None
    assert window.find(client_id(1), clock=110) is None
    assert len(window) == 1
    assert window.find(client_id(3), clock=111) is None
    assert len(window) == 0
