"""Who asks and is not answered for too long is told of; who does not ask never is."""

import threading
import time

from services.runtime.postgres.watchdog import Silence, Watchdog

SOON_S = 5.0


def test_silence_counts_only_while_somebody_asks() -> None:
    silence = Silence(0.0)
    assert not silence.too_long()
    with silence.asking():
        time.sleep(0.01)
        assert silence.too_long()
    assert not silence.too_long()


def test_silence_ends_with_whatever_is_heard() -> None:
    silence = Silence(0.2)
    with silence.asking():
        for _ in range(10):
            time.sleep(0.03)
            silence.heard()
        assert not silence.too_long()
        time.sleep(0.3)
        assert silence.too_long()


def test_silence_after_a_part_of_a_question_counts_on() -> None:
    silence = Silence(0.0)
    with silence.asking():
        with silence.asking():
            pass
        time.sleep(0.01)
        assert silence.too_long()
    assert not silence.too_long()


def test_watchdog_bites_in_silence_until_it_is_closed() -> None:
    silence, bitten = Silence(0.1), threading.Event()
    watchdog = Watchdog(silence, bitten.set)
    time.sleep(0.3)
    assert not bitten.is_set()
    with silence.asking():
        assert bitten.wait(SOON_S)
        watchdog.close()
        time.sleep(0.05)
        bitten.clear()
        assert not bitten.wait(0.3)
