"""Orders that outlived their session, because its gateway was killed.

A killed process cancels nothing. Ids of such orders contain gateway and boot, so the next process
of the same name finds them in its views once these are complete, and cancels them. It goes on
looking: commands of the killed process may have waited for a matcher.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import chain, islice
from typing import Final, Protocol

from msgspec import Struct

from schemas.ids import gateway_part, origin
from schemas.orders import OrderRecord
from services.api.messages import ProblemError
from services.ingest.publish import Delivery
from services.reader.views import Views
from services.runtime.metrics import LEFT_ORDERS_CANCELLED

log = logging.getLogger(__name__)

# Cancels at once: a quarter of the records that may wait for the log, so that requests go on.
PORTION: Final = 500
_PAUSE_S: Final = 0.1
_CHECK_S: Final = 1.0
_NOT_WRITTEN: Final = ("not_stored", "unknown")


class GatewayProcess(Struct, frozen=True):
    """A gateway's name, and the random hexadecimal digits of this start of it."""

    gateway: str
    boot: str

    @property
    def name(self) -> str:
        """The beginning of the names of all its sessions."""
        return f"{self.gateway}/{self.boot}"

    @property
    def origin(self) -> str:
        """The end of the ids of orders that end with its sessions."""
        return origin(self.gateway, self.boot)


class Cancelling(Protocol):
    """Sends cancels; implemented by ingest."""

    def withdraw(self, order_id: str, broker_id: str) -> Delivery:
        """Send the command for an order without an answer. Raises ProblemError not_accepted."""


class LeftOrders:
    """Cancels the orders of ended processes. `ready`: True once the views are complete."""

    def __init__(
        self,
        views: Callable[[], Views],
        ready: Callable[[], bool],
        cancelling: Cancelling,
        process: GatewayProcess,
    ) -> None:
        self._views = views
        self._ready = ready
        self._cancelling = cancelling
        self._process = process
        # By gateway, the cancels of its orders, until none of these is open.
        self._sent: dict[str, dict[str, Delivery]] = {}

    async def run(self) -> None:
        """Cancel what earlier processes of this gateway left, until cancelled."""
        while True:
            sent = self.cancel(self._process.gateway)[0] if self._ready() else 0
            await asyncio.sleep(_PAUSE_S if sent else _CHECK_S)

    def cancel(self, gateway: str) -> tuple[int, int]:
        """Send cancels of orders that ended processes of a gateway left, at most PORTION.

        Returns their number, and the number of left orders that were open before. An order gets one
        cancel, and another only if that was not stored.
        """
        left = self._left(gateway)
        is_open = sum(map(len, left))
        if not is_open:
            self._sent.pop(gateway, None)
            return 0, 0
        sent = self._sent.setdefault(gateway, {})
        waiting = (
            record
            for order_id, record in chain.from_iterable(each.items() for each in left)
            if order_id not in sent or sent[order_id].result in _NOT_WRITTEN
        )
        count = 0
        for record in islice(waiting, PORTION):
            try:
                sent[record.order_id] = self._cancelling.withdraw(record.order_id, record.broker_id)
            except ProblemError as problem:
                why = {"gateway": gateway, "reason": problem.detail}
                log.warning("orders of ended sessions are cancelled later", extra={"fields": why})
                break
            count += 1
        if count:
            LEFT_ORDERS_CANCELLED.inc(count)
            fields = {"gateway": gateway, "orders": count, "open": is_open}
            log.info("orders of ended sessions are cancelled", extra={"fields": fields})
        return count, is_open

    def _left(self, gateway: str) -> list[Mapping[str, OrderRecord]]:
        """The open orders of each ended process of a gateway."""
        part, own = gateway_part(gateway), self._process.origin
        by_origin = self._views().open_by_origin().items()
        return [orders for each, orders in by_origin if each.startswith(part) and each != own]
