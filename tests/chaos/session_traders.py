"""Brokers that trade over sessions and follow feeds of `exchange_client` through all faults.

Afterwards what each of them received is compared with what the exchange has: nothing may be
missing, and nothing may have come twice.
"""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from msgspec import Struct, field, structs

from exchange_client import (
    AsyncClient,
    Book,
    Channels,
    ClientError,
    Disconnected,
    OutcomeUnknownError,
    OwnEvent,
    OwnOrders,
    RefusedError,
    Trade,
    UnavailableError,
)
from exchange_client.async_feed import AsyncFeed
from exchange_client.calls import place_call
from tests.chaos.session_answers import Answer, contradicted

T = TypeVar("T")

# Of one order with all its attempts: longer than a restart of a gateway on a busy machine.
DEADLINE_S: Final = 30.0
# Until what was received equals the exchange, once no order is sent any more.
SETTLED_S_MAX: Final = 60.0
# Orders of one broker without an answer, so that an outage does not collect them without end.
WAITING_MAX: Final = 50
CANCELLED_ONE_IN: Final = 3
_POLL_S = 0.2
_PAGE = 500
_STATE = ("status", "closed_reason", "filled_quantity", "remaining_quantity")
_END_S = 3 * DEADLINE_S + SETTLED_S_MAX + 30.0


class TraderFigures(Struct):
    """Numbers of what one broker sent and received, and what is wrong with it."""

    symbol: str
    orders: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    trades: int = 0
    own_events: int = 0
    books: int = 0
    losses: int = 0
    snapshots: int = 0
    silence_s_max: float = 0.0
    findings: tuple[str, ...] = ()

    def line(self) -> str:
        """The numbers as one line."""
        answers = ", ".join(f"{count} {name}" for name, count in sorted(self.answers.items()))
        return (
            f"{self.symbol}: {self.orders} orders ({answers}); "
            f"{self.losses} connections lost or refused; "
            f"{self.trades} trades, {self.own_events} own events, {self.books} books; "
            f"longest silence {self.silence_s_max:.1f} s; {self.snapshots} snapshots; "
            f"{len(self.findings)} findings"
        )


class _Trader:
    """One broker: it places on one symbol, and cancels some of its orders by their names."""

    def __init__(
        self,
        number: int,
        symbol: str,
        every_s: float,
        late_refusals: Collection[str],
        *,
        cancel_on_disconnect: bool,
    ) -> None:
        self._cancels_at_end = cancel_on_disconnect
        self._late_refusals = late_refusals
        self.figures = TraderFigures(symbol)
        self._number, self._symbol, self._every_s = number, symbol, every_s
        # The answer to each placing by client order id; those without one are still under way.
        self._answers: dict[str, Answer] = {}
        # Codes of the refusals of its placings by order id.
        self._refusals: dict[str, str] = {}
        self._names: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._trades: list[int] = []
        self._own: dict[int, list[int]] = {}
        self._orders: dict[str, dict[str, Any]] = {}
        self._placed: Counter[str] = Counter()
        self._book: Book | None = None
        self._began_s = self._heard_s = time.monotonic()

    @asynccontextmanager
    async def connected(self, url: str, key: str) -> AsyncIterator[None]:
        """A context in which the feed is followed."""
        channels = Channels(
            books=[self._symbol],
            trades=[self._symbol],
            after={self._symbol: 0},
            own_events=True,
            own_after={},
        )
        async with (
            AsyncClient(url, key, DEADLINE_S) as self._client,
            self._client.order_session(cancel_on_disconnect=self._cancels_at_end) as self._session,
            self._client.feed(channels) as feed,
        ):
            following = asyncio.create_task(self._follow(feed))
            yield
            if following.done():
                following.result()
            following.cancel()

    async def _follow(self, feed: AsyncFeed) -> None:
        async for event in feed:
            now_s = time.monotonic()
            silence_s = now_s - self._heard_s
            self.figures.silence_s_max = max(self.figures.silence_s_max, silence_s)
            self._heard_s = now_s
            match event:
                case Trade():
                    self._trades.append(event.sequence)
                case Book():
                    self._book = event
                    self.figures.books += 1
                case OwnEvent():
                    self._own.setdefault(event.partition, []).append(event.sequence)
                    self._receive(event.fields)
                case OwnOrders():
                    self._restart(event)
                case Disconnected():
                    self.figures.losses += 1

    def _restart(self, event: OwnOrders) -> None:
        self.figures.snapshots += 1
        self._own = {int(each): list(range(1, n + 1)) for each, n in event.sequences.items()}

    def _receive(self, fields: Any) -> None:
        if fields["type"] == "order_refused":
            self._refusals[fields["order_id"]] = fields["code"]
        if fields["type"] != "order":
            return
        order = fields["order"]
        self._orders[order["order_id"]] = order
        if fields["cause"] == "placed":
            self._placed[order["client_order_id"]] += 1

    async def place_until(self, stopping: threading.Event) -> None:
        """Send an order each `every_s` until then, and wait for all answers."""
        for count in itertools.count():
            if stopping.is_set():
                break
            if len(self._tasks) < WAITING_MAX:
                self._begin(self._place(count))
            await asyncio.sleep(self._every_s)
        await asyncio.gather(*self._tasks)

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _place(self, count: int) -> None:
        name = f"t{self._number}-{count}"
        side = ("bid", "ask")[(count + self._number) % 2]
        order = self._answered(name, side=side, price=1_000 + count % 5, quantity=1 + count % 7)
        placing = asyncio.ensure_future(order)
        if count % CANCELLED_ONE_IN == 0:
            # Its own answer has not come yet: the session sends both in this order.
            await asyncio.sleep(0)
            cancelling = self._session.cancel_named(self._symbol, name)
            self._note("cancel", (await _outcome_of(cancelling))[0])
        await placing

    async def _answered(self, name: str, **fields: Any) -> None:
        """Place an order of this name and keep the answer."""
        self._names.append(name)
        order = {"document_number": "1", "symbol": self._symbol, "client_order_id": name, **fields}
        outcome, response = await _outcome_of(self._session.ask(place_call(order, None, "outcome")))
        answer = Answer(outcome, time.monotonic() - self._began_s)
        if response is not None:
            order_id = str(response.body["order_id"])
            answer = structs.replace(answer, status=response.status, order_id=order_id)
        self._answers[name] = answer
        self._note("place", answer.name)

    def _note(self, operation: str, answer: str) -> None:
        self.figures.answers[f"{operation} {answer}"] += 1

    async def compare(self) -> None:
        """Wait until what was received equals the exchange; else note the differences."""
        deadline_s = time.monotonic() + SETTLED_S_MAX
        if self._cancels_at_end:
            await self._end_with_an_open_order()
        while findings := await self._differences():
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(_POLL_S)
        figures = self.figures
        figures.findings = tuple(f"{self._symbol}: {each}" for each in findings)
        figures.orders, figures.trades = len(self._names), len(self._trades)
        figures.own_events = sum(map(len, self._own.values()))

    async def _end_with_an_open_order(self) -> None:
        """Place an order far from the market and end the session, which must cancel it."""
        await self._answered(f"t{self._number}-last", side="bid", price=1, quantity=1)
        await self._session.close()

    async def _differences(self) -> list[str]:
        stock = await self._client.stock(self._symbol)
        depth = await self._client.depth(self._symbol, depth=50)
        orders = {each["order_id"]: each async for each in self._own_orders()}
        found = [*_dense("trades", self._trades, int(stock["trade_sequence"]))]
        for partition, sequences in self._own.items():
            found += _dense(f"own events of partition {partition}", sequences, len(sequences))
        for side in ("bids", "asks"):
            levels = [tuple(each.values()) for each in depth[side]]
            if self._book is None or levels != [tuple(each) for each in getattr(self._book, side)]:
                found.append(f"the {side} of the book differ")
        names = Counter(each["client_order_id"] for each in orders.values())
        found += [f"{name} is {count} orders" for name, count in names.items() if count > 1]
        found += contradicted(self._answers, names, self._refusals, self._late_refusals)
        if self._cancels_at_end:
            # Also those of sessions whose gateway was killed: it has come back since.
            found += [
                f"{each['client_order_id']} of an ended session is open"
                for each in orders.values()
                if each["status"] == "open"
            ]
            last = [each for each in orders.values() if each["client_order_id"] == self._names[-1]]
            if [each["closed_reason"] for each in last] != ["cancelled"]:
                found.append(f"the session has ended, its last order is {last}")
        if self.figures.snapshots:
            # The exchange has said that events are left out.
            return found
        found += [f"{n} has {self._placed[n]} events" for n in names if self._placed[n] != 1]
        for order_id, order in orders.items():
            mine = self._orders.get(order_id, {})
            if [mine.get(each) for each in _STATE] != [order[each] for each in _STATE]:
                found.append(f"order {order_id} is {order}, by its events {mine}")
        return found

    async def _own_orders(self) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = await self._client.orders(limit=_PAGE, cursor=cursor, symbol=self._symbol)
            for each in page["orders"]:
                yield each
            cursor = page["next_cursor"]
            if cursor is None:
                return


async def _outcome_of(work: Awaitable[T]) -> tuple[str, T | None]:
    """Result of a request in words, and the answer to one that is done."""
    try:
        return "done", await work
    except RefusedError as refused:
        return f"refused {refused.code}", None
    except OutcomeUnknownError:
        return "unknown", None
    except UnavailableError:
        return "not sent", None


def _dense(what: str, sequences: Sequence[int], newest: int) -> list[str]:
    if list(sequences) == list(range(1, newest + 1)):
        return []
    missing = sorted(set(range(1, newest + 1)) - set(sequences))
    doubled = [each for each, count in Counter(sequences).items() if count > 1]
    return [f"{what} up to {newest}: missing {missing[:5]}, doubled {doubled[:5]}"]


class SessionTraders:
    """All brokers, in one thread. Two of them trade with each other on each symbol.

    `late_refusals`: codes of refusals that may follow a 202.
    """

    def __init__(
        self,
        url: str,
        keys: Sequence[str],
        symbols: Sequence[str],
        orders_per_s: float,
        late_refusals: Collection[str] = (),
    ) -> None:
        self._url, self._keys = url, keys
        every_s = len(keys) / orders_per_s
        self._traders = [
            _Trader(
                number,
                symbols[number % len(symbols)],
                every_s,
                late_refusals,
                # One of two on each symbol.
                cancel_on_disconnect=number < len(symbols),
            )
            for number in range(len(keys))
        ]
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="session-traders")

    @property
    def figures(self) -> list[TraderFigures]:
        """Numbers of each broker, complete after `trading`."""
        return [each.figures for each in self._traders]

    @property
    def findings(self) -> list[str]:
        """Differences from the exchange, one line each; complete after `trading`."""
        return [finding for each in self.figures for finding in each.findings]

    @contextmanager
    def trading(self) -> Iterator[None]:
        """A context in which orders are sent; its end waits for answers and compares."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(_END_S)
        assert not self._thread.is_alive(), "a client hangs"
        if self._failures:
            raise self._failures[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._trade())
        except (ClientError, AssertionError, ExceptionGroup) as error:
            self._failures.append(error)

    async def _trade(self) -> None:
        async with AsyncExitStack() as stack:
            for trader, key in zip(self._traders, self._keys, strict=True):
                await stack.enter_async_context(trader.connected(self._url, key))
            await self._each(lambda trader: trader.place_until(self._stopping))
            await self._each(lambda trader: trader.compare())

    async def _each(self, work: Callable[[_Trader], Any]) -> None:
        async with asyncio.TaskGroup() as group:
            for trader in self._traders:
                group.create_task(work(trader))
