"""Services as threads of this process on running servers, so that tests can replace functions.

A thread starts within a second, a process takes several. A service that ends is not restarted.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from services.gateway.process import gateway
from services.local.exchange import LocalExchange
from services.matcher.loop import MatcherLoop
from services.matcher.recovery import LogTopics
from services.reader.process import reader
from services.runtime.health import Health
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topic_identity import log_identity
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.lifecycle import SWITCH_INTERVAL_S, Stop
from services.runtime.settings import Settings
from services.sink.process import sink
from services.webhooks.process import webhooks
from tests.support.patching import Replacement, patched

# A service starts and ends within a second; the rest allows for a busy machine.
_READY_S_MAX = 20.0
_END_S_MAX = 20.0
_POLL_S = 0.02


def _run_matcher(settings: Settings, stop: Stop, health: Health) -> None:
    topology = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    log = LogTopics(topology.prefix, log_identity(kafka_access(settings), topology.prefix).topic_id)
    partitions = list(range(topology.partitions))
    MatcherLoop(settings, log, "in a thread", health).run(partitions, stop)


_SERVICES: Final[dict[str, Callable[[Settings, Stop], None]]] = {
    "gateway": gateway,
    "reader": reader,
    "sink": sink,
    "webhooks": webhooks,
}


class ServiceThread:
    """Runs one service during the context. `error`: the exception that ended it, if any."""

    def __init__(
        self, name: str, settings: Settings, replacements: tuple[Replacement, ...] = ()
    ) -> None:
        """`replacements`: functions replaced in the whole process while the service runs."""
        self.error: BaseException | None = None
        self._name = name
        self._settings = settings
        self._replaced = patched(replacements)
        self._stop = Stop()
        self._health = Health()
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> "ServiceThread":
        self._replaced.__enter__()
        self._switch_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_END_S_MAX)
        self._replaced.__exit__(None, None, None)
        sys.setswitchinterval(self._switch_interval_s)
        assert not self._thread.is_alive(), f"{self._name} does not end"

    @property
    def alive(self) -> bool:
        """True while the service runs."""
        return self._thread.is_alive()

    def wait_ready(self, stack: LocalExchange) -> None:
        """Wait until the service is ready or has ended.

        A matcher is ready when it has caught up, any other service when it answers on its port.
        """
        deadline = time.monotonic() + _READY_S_MAX
        while self.alive and not self._ready(stack):
            assert time.monotonic() < deadline, f"{self._name} is not ready"
            time.sleep(_POLL_S)

    def _ready(self, stack: LocalExchange) -> bool:
        if self._name == "matcher":
            readiness = self._health.readiness()
            # Without any check it has not started yet.
            return bool(readiness.checks) and readiness.status == "ready"
        return stack.ready(self._name)

    def _run(self) -> None:
        try:
            if self._name == "matcher":
                _run_matcher(self._settings, self._stop, self._health)
            else:
                _SERVICES[self._name](self._settings, self._stop)
        except Exception as error:
            self.error = error
