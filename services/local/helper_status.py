"""Helpers that are down: the list for banner and `/readyz`, and the thread that asks them.

Orders are served without the helpers: PostgreSQL, sink and webhook sender.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from services.runtime.degraded import write_degraded
from services.runtime.health import Degraded

PROBE_INTERVAL_S = 1.0
# A helper that waits a moment for its server is not worth a line.
UNREADY_PROBES_MAX = 5
UNREADY = "runs, but is not ready; its service log has the reason"


class HelperStatus:
    """Thread-safe. Each change is written to the file that the gateway reads."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._down: dict[str, str] = {}
        # The supervisor and the thread of HelperProbes both change the list.
        self._lock = threading.Lock()
        self.report: Callable[[str], None] = lambda _: None

    def down(self, name: str, detail: str) -> None:
        """Record that this helper is down, and why."""
        with self._lock:
            changed = self._down.get(name) != detail
            self._down[name] = detail
            if changed:
                self._write()

    def up(self, name: str) -> None:
        """Record that this helper works; a line if it was down."""
        with self._lock:
            if self._down.pop(name, None) is None:
                return
            self._write()
        self.report(f"{name} works again")

    def detail(self, name: str) -> str | None:
        """The reason why this helper is down; None if it is not."""
        with self._lock:
            return self._down.get(name)

    def all_down(self) -> list[Degraded]:
        """The helpers that are down, by name."""
        with self._lock:
            return self._list()

    def clear(self) -> None:
        """Remove all entries, also those that a killed run has left in the file."""
        with self._lock:
            self._down.clear()
            self._write()

    def _list(self) -> list[Degraded]:
        return [Degraded(name, self._down[name]) for name in sorted(self._down)]

    def _write(self) -> None:
        try:
            write_degraded(self._data_dir, self._list())
        except OSError as error:
            # A full disk is a reason for helpers to be down; it must not end the supervisor.
            self.report(f"/readyz cannot list helpers that are down: {error}")


class HelperProbes:
    """Probes `/readyz` of each helper in one thread, so that a stuck one delays no restart."""

    def __init__(self, ready: Mapping[str, Callable[[], bool]], status: HelperStatus) -> None:
        self._ready = dict(ready)
        self._status = status
        self._unready = dict.fromkeys(self._ready, 0)
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin in the background."""
        threading.Thread(target=self._run, name="helper probes", daemon=True).start()

    def stop(self) -> None:
        """End after the probe in progress."""
        self._ending.set()

    def probe_all(self) -> None:
        """Probe each helper once."""
        for name, ready in self._ready.items():
            if ready():
                self._unready[name] = 0
                self._status.up(name)
                continue
            self._unready[name] += 1
            if self._unready[name] >= UNREADY_PROBES_MAX and self._status.detail(name) is None:
                self._status.down(name, UNREADY)
                self._status.report(f"{name} {UNREADY}")

    def _run(self) -> None:
        while not self._ending.wait(PROBE_INTERVAL_S):
            self.probe_all()
