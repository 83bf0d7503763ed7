"""The archive with the result of its last query, for readiness."""

from schemas.orders import OrderRecord, OrderTrade
from services.reader.app import OrderArchive
from services.reader.errors import ArchiveUnavailableError
from services.runtime.health import Check


class WatchedArchive:
    """The archive, with the result of its last query: the reader queries it every second."""

    def __init__(self, archive: OrderArchive) -> None:
        self._archive = archive
        self.reachable = False

    async def order(self, order_id: str) -> OrderRecord | None:
        """As in the archive."""
        return await self._archive.order(order_id)

    async def trades(self, order_id: str, before: str | None, limit: int) -> list[OrderTrade]:
        """As in the archive."""
        return await self._archive.trades(order_id, before, limit)

    async def positions(self) -> dict[int, int]:
        """As in the archive."""
        try:
            positions = await self._archive.positions()
        except ArchiveUnavailableError:
            self.reachable = False
            raise
        self.reachable = True
        return positions

    def check(self) -> Check:
        """Informational check: the exchange trades without a database."""
        return Check(True, "answers" if self.reachable else "is away; trading goes on without it")
