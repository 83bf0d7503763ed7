"""LastResponse and Watchdog: only silence during a query counts, up to its limit."""

import threading
import time

from services.runtime.postgres.watchdog import LastResponse, Watchdog

SOON_S = 5.0


def test_silence_counts_only_during_a_query() -> None:
    last_response = LastResponse(0.0)
    assert not last_response.too_long()
    with last_response.asking():
        time.sleep(0.01)
        assert last_response.too_long()
    assert not last_response.too_long()


def test_silence_ends_with_any_response() -> None:
    last_response = LastResponse(0.2)
    with last_response.asking():
        for _ in range(10):
            time.sleep(0.03)
            last_response.heard()
        assert not last_response.too_long()
        time.sleep(0.3)
        assert last_response.too_long()


def test_silence_after_a_nested_query_continues_to_count() -> None:
    last_response = LastResponse(0.0)
    with last_response.asking():
        with last_response.asking():
            pass
        time.sleep(0.01)
        assert last_response.too_long()
    assert not last_response.too_long()


def test_watchdog_aborts_on_silence_until_it_is_closed() -> None:
    last_response, aborted = LastResponse(0.1), threading.Event()
    watchdog = Watchdog(last_response, aborted.set)
    time.sleep(0.3)
    assert not aborted.is_set()
    with last_response.asking():
        assert aborted.wait(SOON_S)
        watchdog.close()
        time.sleep(0.05)
        aborted.clear()
        assert not aborted.wait(0.3)
