"""Clients that come back and missed trades that only PostgreSQL has."""

import asyncio
from typing import Any

import pytest

from schemas import ids
from services.feeds import known_trades, stored_trades
from services.feeds import market as feed_market
from services.reader.errors import ArchiveUnavailableError
from services.reader.tape import TapeTrade
from tests.support.feed_session import KEY, ConnectedClient

IN_MEMORY = 5


class Database:
    """Stored trades of the market; each page waits until the test lets it go."""

    def __init__(self, trades: list[dict[str, Any]]) -> None:
        self._trades = trades
        self.pages: list[int] = []
        self.may_answer = asyncio.Event()
        self.is_away = False

    async def read(self, symbol: str, wanted: range) -> list[TapeTrade]:
        await self.may_answer.wait()
        if self.is_away:
            raise ArchiveUnavailableError("away")
        self.pages.append(len(wanted))
        names = TapeTrade.__struct_fields__
        return [
            TapeTrade(**{name: trade[name] for name in names})
            for trade in self._trades
            if trade["symbol"] == symbol and trade["sequence"] in wanted
        ]


class Returning:
    """A client that comes back to a market with more trades than there are in memory."""

    def __init__(self, *, public: bool = True) -> None:
        self.connected = ConnectedClient(public=public)
        self.market = self.connected.market
        while len(self.market.trades) < 60:
            self.market.trade(10)
        self.market.hub.changes.take("S0")
        self.market.hub.changes.take("S1")
        self.all = self.of_s0()
        self.database = Database(self.market.trades)
        self.market.hub.stored.history = self.database.read

    def of_s0(self) -> list[dict[str, Any]]:
        return [trade for trade in self.market.trades if trade["symbol"] == "S0"]

    def subscribe(self, after: int, symbols: object = ("S0",), **more: object) -> None:
        self.connected.send(
            op="subscribe", id=7, channel="trades", symbols=symbols, after={"S0": after}, **more
        )

    async def settle(self) -> None:
        """Wait for the reads under way."""
        reads = self.market.hub.stored._reads
        tasks = [task for tasks in reads.values() for task in tasks]
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        await asyncio.sleep(0)

    async def answered(self) -> list[dict[str, Any]]:
        """The messages from the response of the subscription on."""
        await self.settle()
        received = self.connected.output.received
        (first,) = [place for place, each in enumerate(received) if each.get("id") == 7]
        return received[first:]


@pytest.fixture(autouse=True)
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_market, "LAST_TRADES_MAX", IN_MEMORY)
    monkeypatch.setattr(stored_trades, "PAGE", 4)


def test_place_in_a_trade_id_is_that_of_the_trade() -> None:
    for offset, index in ((0, 0), (1_042, 3), (2**46 - 1, 2**16 - 1)):
        assert ids.place_of(ids.trade_id(1_782_997_200_251, 7, offset, index)) == (offset, index)


@pytest.mark.parametrize("symbols", [("S0",), "*"])
def test_missed_trades_come_from_the_database_and_memory_before_live_ones(symbols: object) -> None:
    async def run() -> None:
        returning = Returning()
        returning.subscribe(2, symbols)
        # Trades meanwhile take the places in memory of those before them.
        before = len(returning.of_s0())
        while len(returning.of_s0()) < before + 2:
            returning.market.trade(1)
        assert len(returning.of_s0()) <= before + IN_MEMORY
        await returning.market.hub.flush()
        assert returning.connected.output.of_type("response", "trade") == []
        returning.database.may_answer.set()
        response, *_ = await returning.answered()
        returning.market.trade(30)
        await returning.market.hub.flush()
        found = returning.connected.output.of_type("trade", "gap")
        assert response["status"] == 200
        assert [each for each in found if each["symbol"] == "S0"] == returning.of_s0()[2:]

    asyncio.run(run())


def test_missed_trades_have_no_gap_and_the_fields_of_live_ones() -> None:
    async def run() -> None:
        returning = Returning()
        returning.database.may_answer.set()
        returning.subscribe(2)
        response, *rest = await returning.answered()
        assert (response["status"], rest) == (200, returning.all[2:])
        assert max(returning.database.pages) == 4

    asyncio.run(run())


def test_trades_in_memory_need_no_database() -> None:
    async def run() -> None:
        returning = Returning()
        newest = returning.all[-1]["sequence"]
        returning.subscribe(newest - IN_MEMORY)
        response, *rest = await returning.answered()
        assert (response["status"], rest) == (200, returning.all[-IN_MEMORY:])
        assert returning.database.pages == []

    asyncio.run(run())


def test_trades_beyond_the_bound_of_a_symbol_are_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_trades, "REPLAYED_PER_SYMBOL_MAX", 12)

    async def run() -> None:
        returning = Returning()
        returning.database.may_answer.set()
        returning.subscribe(0)
        _, gap, *rest = await returning.answered()
        assert (gap["first"], gap["last"]) == (1, len(returning.all) - 12)
        assert rest == returning.all[-12:]
        assert sum(returning.database.pages) == 12 - IN_MEMORY

    asyncio.run(run())


@pytest.mark.parametrize("how", ["error", "silence"])
def test_database_that_is_away_is_named_as_the_reason(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_trades, "WAIT_S_MAX", 0.05)

    async def run() -> None:
        returning = Returning()
        if how == "error":
            returning.database.is_away = True
            returning.database.may_answer.set()
        returning.subscribe(2)
        _, gap, *rest = await returning.answered()
        newest = returning.all[-1]["sequence"]
        assert (gap["first"], gap["last"], gap["reason"]) == (3, newest - 5, "storage_away")
        assert rest == returning.all[-IN_MEMORY:]

    asyncio.run(run())


def test_unsubscribing_meanwhile_ends_the_subscription_behind_its_response() -> None:
    async def run() -> None:
        returning = Returning()
        returning.subscribe(2)
        returning.connected.send(op="unsubscribe", id=8, channel="trades", symbols=["S0"])
        statuses = [
            (each["id"], each["status"]) for each in returning.connected.output.of_type("response")
        ]
        assert statuses == [(7, 200), (8, 200)]
        assert list(returning.connected.client.subjects) == []
        returning.database.may_answer.set()
        before = len(returning.connected.output.received)
        returning.market.trade(30)
        await returning.market.hub.flush()
        assert [each["type"] for each in returning.connected.output.received[before:]] in (
            [],
            ["heartbeat"],
        )

    asyncio.run(run())


def test_key_that_is_forgotten_meanwhile_ends_the_subscription() -> None:
    async def run() -> None:
        returning = Returning(public=False)
        returning.connected.ask(op="login", key=KEY)
        returning.subscribe(2)
        returning.connected.ask(op="logout")
        assert list(returning.connected.client.subjects) == []
        returning.database.may_answer.set()
        await asyncio.sleep(0)
        assert returning.market.hub.stored._reads == {}
        assert list(returning.connected.client.subjects) == []

    asyncio.run(run())


def test_client_that_is_gone_gets_nothing_and_leaves_nothing() -> None:
    async def run() -> None:
        returning = Returning()
        returning.subscribe(2)
        before = len(returning.connected.output.received)
        returning.market.hub.remove(returning.connected.client)
        returning.database.may_answer.set()
        await asyncio.sleep(0)
        assert returning.market.hub.stored._reads == {}
        assert len(returning.connected.output.received) == before
        assert list(returning.connected.client.subjects) == []

    asyncio.run(run())


def test_position_of_a_client_is_unknown_while_its_trades_are_read() -> None:
    async def run() -> None:
        returning = Returning()
        await returning.market.hub.flush()
        returning.subscribe(2)
        position = returning.market.hub.position_of
        assert position(returning.connected.client) == ""
        returning.database.may_answer.set()
        await returning.answered()
        assert position(returning.connected.client) == str(returning.market.offset)

    asyncio.run(run())


def test_one_client_at_a_time_reads_the_database() -> None:
    async def run() -> None:
        returning = Returning()
        waiting = 0
        most = 0

        async def slow(symbol: str, wanted: range) -> list[TapeTrade]:
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            await asyncio.sleep(0)
            waiting -= 1
            return []

        returning.market.hub.stored.history = slow
        for number in range(20, 25):
            returning.connected.send(
                op="subscribe", id=number, channel="trades", symbols=["S0"], after={"S0": 1}
            )
        returning.subscribe(2)
        await returning.answered()
        assert most == 1

    asyncio.run(run())
