"""A market in memory behind a feed hub, and clients that keep books from its messages."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from msgspec import structs
from websockets.frames import Opcode

from schemas.book import Level
from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    Tick,
)
from schemas.executions import Outcome
from schemas.ids import order_id
from schemas.instruments import InstrumentRules
from schemas.outcome_steps import Taking
from schemas.units import SelfTradePrevention, Side
from services.feeds.client import FeedClient
from services.feeds.hub import FeedHub
from services.feeds.own_feed import OwnFeed
from services.feeds.raw_feed import RawFeed
from services.feeds.rota import TURNS
from services.matcher.engine import Engine, EnginePosition
from services.reader.book_checksum import checksum
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from tests.support.reader_outcomes import ALICE, T0


def messages(data: bytes) -> Iterator[dict[str, Any]]:
    """The JSON messages of whole, unmasked text frames."""
    while data:
        assert data[0] == 0x80 | Opcode.TEXT
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        yield json.loads(data[start : start + size])
        data = data[start + size :]


class ClientBook:
    """A book kept by the rules of `docs/feeds.md`."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.sides: dict[Side, dict[int, Level]] = {"bid": {}, "ask": {}}
        self.snapshots: list[str] = []

    def apply(self, message: dict[str, Any]) -> None:
        if message["type"] == "book_snapshot":
            self.sides = {"bid": {}, "ask": {}}
            self.snapshots.append(message["reason"])
        elif self.sequence is None or message["sequence"] <= self.sequence:
            return
        else:
            assert message["previous"] <= self.sequence, "a gap"
        self.sequence = message["sequence"]
        sides: tuple[tuple[Side, str], ...] = (("bid", "bids"), ("ask", "asks"))
        for side, name in sides:
            for price, total, orders in message.get(name, ()):
                self.sides[side].pop(price, None)
                if total:
                    self.sides[side][price] = Level(price, total, orders)
        assert checksum(self.levels("bid"), self.levels("ask")) == message["checksum"]

    def levels(self, side: Side) -> list[Level]:
        """All levels, best first."""
        found = self.sides[side]
        return [found[price] for price in sorted(found, reverse=side == "bid")]


class RecordingOutput:
    """Collects what is written; `full` stands for a buffer that the kernel does not take."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.writes = 0
        self.cuts: list[tuple[int, str]] = []
        self.held = 0

    def write(self, frames: bytes) -> None:
        self.writes += 1
        self.received.extend(messages(frames))

    def buffered(self) -> int:
        return self.held

    def cut(self, code: int, reason: str) -> None:
        self.cuts.append((code, reason))

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["type"] in types]


class FeedMarket:
    """An engine, views and a hub; commands are applied one batch at a time, each of them `step_ms`
    after the one before. With several brokers some commands are refused or repeated."""

    def __init__(
        self,
        symbols: int = 2,
        seed: int = 1,
        step_ms: int = 1,
        brokers: Sequence[str] = (ALICE,),
        amended: float = 0.2,
        mass_cancels: float = 0.0,
    ) -> None:
        self.brokers = brokers
        self.outcomes: list[Outcome] = []
        self._step_ms = step_ms
        # Shares of amendments, while orders are open, and of cancels of all orders.
        self._amended = amended
        self._mass_cancels = mass_cancels
        # The share of orders that show a part of their quantity alone.
        self.icebergs = 0.0
        # The share of orders with self-trade prevention; then the symbols get instruments first.
        self.preventions = 0.0
        self.engine = Engine(0)
        self.views = Views()
        self.own = OwnFeed(lambda: self.views)
        self.hub = FeedHub(lambda: self.views, lambda: True, self.own)
        self.raw = RawFeed(self.hub)
        self.symbols = [f"S{number}" for number in range(symbols)]
        self._without_instrument = list(self.symbols)
        self.trades: list[Any] = []
        self._random = random.Random(seed)
        self._open: list[PlaceOrder] = []
        self.offset = 0
        # Besides the steps.
        self._late_ms = 0

    def client(self) -> tuple[FeedClient, RecordingOutput]:
        """A client of the hub with its output."""
        output = RecordingOutput()
        client = FeedClient(output, "127.0.0.1")
        self.hub.add(client)
        return client, output

    def trade(self, commands: int) -> None:
        """Apply so many random commands as one batch."""
        first = self.offset
        self._publish(first, [self._apply(self._command()) for _ in range(commands)])

    def send(self, *commands: Command) -> None:
        """Apply these commands as one batch."""
        first = self.offset
        self._publish(first, [self._apply(command) for command in commands])

    def tick(self, wait_ms: int) -> None:
        """Let the clock advance without an order."""
        self._late_ms += wait_ms
        first = self.offset
        self._publish(first, [self._apply(Tick())])

    def now_ms(self) -> int:
        """The time of the next command."""
        return T0 + self.offset * self._step_ms + self._late_ms

    def _apply(self, command: Command) -> Outcome:
        outcome = self.engine.apply(command, EnginePosition(0, self.offset, self.now_ms()))
        self.offset += 1
        return outcome

    def _publish(self, first: int, outcomes: list[Outcome]) -> None:
        self.outcomes += outcomes
        whole = Batch(0, first, tuple(outcomes))
        for batch in whole.singly() if self.raw.is_watched() else (whole,):
            self.views.apply(batch)
            self.own.on_batch(batch)
            self.raw.on_batch(batch)
        self.raw.write_out()
        for offset, outcome in enumerate(outcomes, first):
            event = outcome.event
            if not isinstance(event, Taking):
                continue
            self.trades += [
                {
                    "type": "trade",
                    "symbol": event.symbol,
                    "sequence": fill.sequence,
                    "trade_id": fill.trade_id,
                    "time": outcome.time,
                    "price": fill.price,
                    "quantity": fill.quantity,
                    "aggressor_side": event.side,
                    "command_offset": offset,
                    "index": index,
                }
                for index, fill in enumerate(event.fills)
            ]

    def _command(self) -> Command:
        rng = self._random
        if self.preventions and self._without_instrument:
            symbol = self._without_instrument.pop()
            return SetInstrument(symbol, "0" * 16, InstrumentRules(), 100)
        owner = rng.choice(self.brokers)
        if len(self.brokers) > 1 and self._open and rng.random() < 0.15:
            order = rng.choice(self._open)
            # A repeat, a reuse of its name, an id that is taken, or another broker's cancel.
            return rng.choice(
                (
                    structs.replace(order, order_id=self._next_id()),
                    structs.replace(order, order_id=self._next_id(), quantity=99),
                    order,
                    CancelOrder(order.order_id, owner),
                )
            )
        if self._mass_cancels and rng.random() < self._mass_cancels:
            return CancelAll(owner, "0" * 16, rng.choice((None, *self.symbols)))
        if self._open and self._amended and rng.random() < self._amended:
            return self._amendment(rng.choice(self._open))
        if self._open and rng.random() < 0.4:
            order = self._open.pop(rng.randrange(len(self._open)))
            return CancelOrder(order.order_id, order.broker_id)
        side: Side = rng.choice(("bid", "ask"))
        order = PlaceOrder(
            self._next_id(),
            owner,
            "1",
            rng.choice(self.symbols),
            side,
            "limit",
            rng.randrange(1, 9),
            rng.randrange(95, 106) + (1 if side == "ask" else -1) * rng.randrange(0, 4),
            self.now_ms() + 20 * self._step_ms if rng.random() < 0.2 else None,
            f"c-{self.offset}" if len(self.brokers) > 1 else None,
        )
        if self.icebergs and rng.random() < self.icebergs:
            order = EnterOrder(
                **structs.asdict(order), display_quantity=rng.randint(1, order.quantity)
            )
        if self.preventions and rng.random() < self.preventions:
            mode = rng.choice(get_args(SelfTradePrevention))
            order = EnterOrder(**structs.asdict(order) | {"self_trade_prevention": mode})
        self._open.append(order)
        return order

    def _next_id(self) -> str:
        return order_id(self.now_ms(), 0, self.offset + 1)

    def _amendment(self, order: PlaceOrder) -> AmendOrder:
        rng = self._random
        quantity = rng.randrange(1, 12) if rng.random() < 0.7 else None
        return AmendOrder(
            order.order_id,
            order.broker_id,
            "0123456789abcdef",
            quantity,
            None if quantity is None else order.quantity,
            rng.randrange(95, 106) if rng.random() < 0.3 else None,
            self.now_ms() + 50 * self._step_ms if quantity is None else None,
        )

    def flush(self) -> None:
        """One flush of the hub."""
        asyncio.run(self.hub.flush())

    def flush_later(self) -> None:
        """One flush after a pause of seconds: everything that has a pace is sent."""
        self.hub._next_s.clear()
        self.hub._heartbeats._taken -= TURNS
        self.flush()
