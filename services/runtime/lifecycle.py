"""Start and end of a process: signals, exit codes, and one readable line for an error.

SIGTERM, SIGINT and SIGHUP request a stop. One signal is enough: every wait of a process is bounded.
"""

import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable

from services.runtime.errors import ExchangeError
from services.runtime.logging_setup import configure
from services.runtime.settings import Settings, read_settings
from services.runtime.stop_signals import admit_stop_signals, stop_signals

log = logging.getLogger(__name__)

# Threads switch thousands of times a second; the default interval of 5 ms would be too long.
SWITCH_INTERVAL_S = 0.0002
# Thresholds of the garbage collector. Messages have no cycles, so it finds nothing in them: let it
# run rarely, and over few objects at once. It takes at most 0.5 us of a request whatever the size
# of its parts, but one of 50,000 objects stops a gateway for 14 to 25 ms, one of 20,000 for 5 to
# 10 ms. Older objects are visited once in two million.
COLLECT_AFTER = (20_000, 100, 10)


class Stop:
    """Set once the process shall end; threads wait on it instead of sleeping."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._failure: BaseException | None = None

    def set(self, *_: object) -> None:
        """Request the stop. Also a signal handler."""
        self._event.set()
        for callback in self._callbacks:
            callback()

    def is_set(self) -> bool:
        """True once the stop was requested."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait up to the time-out for the stop; True once it was requested."""
        return self._event.wait(timeout_s)

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the stop is requested, in the requesting thread; at once if it
        was."""
        self._callbacks.append(callback)
        if self.is_set():
            callback()

    def fail(self, error: BaseException) -> None:
        """Request the stop because of an error; the first one counts."""
        self._failure = self._failure or error
        self.set()

    def raise_failure(self) -> None:
        """Raise the error that `fail` received, if any."""
        if self._failure is not None:
            raise self._failure


def run(service: str, environ: dict[str, str], main: Callable[[Settings, Stop], None]) -> int:
    """Run `main` as a service and return the process's exit code (see `errors`)."""
    configure(service, environ.get("EXCHANGE_LOG_LEVEL") or "INFO")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    stop = Stop()
    for number in stop_signals():
        signal.signal(number, stop.set)
    admit_stop_signals()
    try:
        settings = read_settings(environ)
        log.info("starting")
        if not stop.is_set():
            main(settings, stop)
        stop.raise_failure()
    except ExchangeError as error:
        log.error("%s", error)
        sys.stderr.write(f"{service}: {error}\n")
        return error.exit_code
    except Exception:
        log.exception("stopped by an unexpected error")
        return 1
    log.info("stopped")
    return 0
