"""Clients that place orders without a pause and write down what each of them was told, and when."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException

from msgspec import Struct

from conformance.api import Api
from services.audit.client_log import ClientLine, Told

PAUSE_S = 0.02
_TOLD: dict[int, Told] = {200: "acknowledged", 201: "acknowledged", 202: "acknowledged"}
_UNKNOWN = 504


class Sent(Struct, frozen=True):
    """One order; status 0: no answer came. Times are of the monotonic clock."""

    client_order_id: str
    status: int
    order_id: str
    sent_s: float
    answered_s: float


class LoggingClients:
    """Threads that buy and sell one lot of each symbol at one price, so that all of it trades."""

    def __init__(self, broker: Api, broker_id: str, symbols: list[str]) -> None:
        self.broker, self._broker_id = broker, broker_id
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._place, args=[name]) for name in symbols]
        self.sent: list[Sent] = []

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
            self.sent.append(Sent(client_id, status, order_id, sent_s, time.monotonic()))
            time.sleep(PAUSE_S)

    @contextlib.contextmanager
    def placing(self) -> Iterator[None]:
        """They place orders inside, and have had their last answers after."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()

    def matched_since(self, moment_s: float) -> int:
        """How many orders that were sent after the moment were answered 201."""
        return sum(each.status == 201 and each.sent_s > moment_s for each in list(self.sent))

    def silence_s(self) -> float:
        """The longest time between two answers 201."""
        times = sorted(each.answered_s for each in self.sent if each.status == 201)
        return max(b - a for a, b in itertools.pairwise(times))

    def lines(self) -> list[ClientLine]:
        """The client log, for the audit."""
        return [
            ClientLine(_told(each.status), self._broker_id, each.client_order_id, each.order_id)
            for each in self.sent
        ]


def _told(status: int) -> Told:
    unknown = status in (0, _UNKNOWN)
    return _TOLD.get(status, "unknown" if unknown else "refused")
