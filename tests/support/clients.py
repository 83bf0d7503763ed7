"""Clients that place orders continuously and record each answer and its time."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException

from msgspec import Struct

from conformance.api import Api
from services.audit.client_log import ClientLine, ClientResult

# Between two orders of a symbol: continuous, without filling the machine.
PAUSE_S = 0.02
_ACKNOWLEDGED = (200, 201, 202)
_UNKNOWN = 504


class SentOrder(Struct, frozen=True):
    """One order and the status of its answer; 0: no answer. Times are of the monotonic clock."""

    client_order_id: str
    status: int
    order_id: str
    sent_s: float
    answered_s: float


class LoggingClients:
    """One thread for each symbol that buys and sells at one price, so that every order trades."""

    def __init__(self, broker: Api, broker_id: str, symbols: list[str]) -> None:
        self.broker, self._broker_id = broker, broker_id
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._place, args=[name]) for name in symbols]
        self.sent: list[SentOrder] = []

    def _place(self, symbol: str) -> None:
        count = 0
        while not self._stopping.is_set():
            side = "bid" if count % 2 else "ask"
            client_id = f"{symbol}-{count}"
            count += 1
            sent_s = time.monotonic()
            status, order_id = 0, ""
            with contextlib.suppress(OSError, HTTPException):
                answer = self.broker.place(side, symbol, 1, 100, client_order_id=client_id)
                status = answer.status
                order_id = str(answer.body.get("order_id", ""))
            self.sent.append(SentOrder(client_id, status, order_id, sent_s, time.monotonic()))
            time.sleep(PAUSE_S)

    @contextlib.contextmanager
    def placing(self) -> Iterator[None]:
        """Place orders during the context; at its end, wait for the last answers."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()

    def matched_since(self, moment_s: float) -> int:
        """Number of orders sent after the moment and answered 201."""
        return sum(each.status == 201 and each.sent_s > moment_s for each in list(self.sent))

    def gap_s_max(self) -> float:
        """Longest time between two consecutive answers 201."""
        times = sorted(each.answered_s for each in self.sent if each.status == 201)
        return max(b - a for a, b in itertools.pairwise(times))

    def lines(self) -> list[ClientLine]:
        """Client log for the audit."""
        return [
            ClientLine(_result(each.status), self._broker_id, each.client_order_id, each.order_id)
            for each in self.sent
        ]


def _result(status: int) -> ClientResult:
    if status in _ACKNOWLEDGED:
        return "acknowledged"
    return "unknown" if status in (0, _UNKNOWN) else "refused"
