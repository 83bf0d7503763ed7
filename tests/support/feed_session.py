"""A feed session whose orders and keys are recorded instead of sent."""

import itertools
import json
from collections.abc import Callable
from typing import Any

from schemas.brokers import Broker
from schemas.feed import Hello
from schemas.orders import OrderRecord
from schemas.rest import OrderRequest, ReplaceRequest
from schemas.units import Side
from services.api.brokers import Caller
from services.api.messages import Budget, ProblemError, Reply, Response
from services.feeds.order_entry import Found, OrderEntry
from services.feeds.session import FeedSession
from services.ingest.admission import admit, admit_replacement
from services.ingest.batch_admission import Item, admit_batch
from services.ingest.prefer import Preferences
from tests.support.feed_market import FeedMarket
from tests.support.reader_outcomes import ALICE

KEY = "mx_alfa"
BROKER = Broker(broker_id=ALICE, name="Alfa", api_key_hash="", created_at=0)


class Keys:
    """One broker's key, which can be revoked, and the admin's."""

    def __init__(self) -> None:
        self.valid = True

    def caller(self, api_key: str) -> Caller | None:
        if api_key == "admin":
            return "admin"
        return BROKER if api_key == KEY and self.valid else None

    def failed_login(self, address: str) -> ProblemError:
        return ProblemError("unauthenticated", address)


ORDER = {
    "document_number": "1",
    "side": "bid",
    "symbol": "PETR4",
    "price": 100,
    "quantity": 5,
    "client_order_id": "a-1",
}


class RecordedCalls:
    """Orders and cancels in the order in which they were sent; replies are kept for the test."""

    process_name = "desk/boot"

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        # Client order ids of orders that end with their session.
        self.of_session: list[str] = []
        self.replies: list[Reply] = []
        self.preferences: list[Preferences] = []
        self.closed: set[str] = set()
        self.known: set[str] = set()
        self.spent: list[str] = []
        self.charged: list[tuple[str, int]] = []
        self.refusal: ProblemError | None = None
        # Ids of orders of other connections, by symbol and client order id; None: it is not in
        # memory, and the search is kept for the test.
        self.elsewhere: dict[tuple[str, str], str | None] = {}
        self.searches: list[Callable[[Found], None]] = []

    def spend(self, broker_id: str, budget: Budget) -> None:
        assert broker_id == ALICE
        self.spent.append(budget)

    def stop(self) -> None:
        self.refusal = ProblemError("not_accepted", "the exchange is stopping")

    def charge(self, broker_id: str, budget: Budget, tokens: int) -> None:
        assert broker_id == ALICE
        self.charged.append((budget, tokens))

    def admit(self, body: bytes) -> OrderRequest:
        return admit(body, 0)

    def admit_batch(self, body: bytes) -> list[Item]:
        return admit_batch(body, 0)

    def place(
        self,
        order: OrderRequest,
        broker: Broker,
        preferences: Preferences,
        reply: Reply,
        *,
        ends_with_session: bool,
    ) -> str:
        if self.refusal is not None:
            raise self.refusal
        if ends_with_session:
            self.of_session.append(str(order.client_order_id))
        self.sent.append(("place", str(order.client_order_id)))
        self.replies.append(reply)
        self.preferences.append(preferences)
        return f"order-{order.client_order_id}"

    def find(
        self, broker_id: str, symbol: str, client_order_id: str, found: Callable[[Found], None]
    ) -> None:
        assert broker_id == ALICE
        order_id = self.elsewhere.get((symbol, client_order_id), "")
        if order_id is None:
            self.searches.append(found)
        else:
            found(order_id or ProblemError("order_not_found", "none").costing(9))

    def cancel(
        self, order_id: str, broker: Broker, preferences: Preferences, reply: Reply
    ) -> Response | None:
        self.sent.append(("cancel", order_id))
        if order_id in self.closed:
            return Response(204)
        self.replies.append(reply)
        return None

    def cancel_all(
        self, broker_id: str, symbol: str | None, side: Side | None, reply: Reply
    ) -> None:
        assert broker_id == ALICE
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(("cancel_all", f"{symbol} {side}"))
        self.replies.append(reply)

    def validate(self, body: bytes) -> Response:
        return Response(200, b'{"symbol":"%b"}' % admit(body, 0).symbol.encode())

    def admit_replacement(self, body: bytes) -> ReplaceRequest:
        return admit_replacement(body, 0)

    def replace(
        self,
        order_id: str,
        values: ReplaceRequest,
        broker: Broker,
        preferences: Preferences,
        reply: Reply,
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(("replace", f"{order_id} {values.quantity}"))
        self.replies.append(reply)

    def is_open(self, order_id: str) -> bool | None:
        if order_id in self.closed:
            return False
        return True if order_id in self.known else None

    def withdraw(self, order_id: str, broker_id: str) -> None:
        assert broker_id == ALICE
        self.sent.append(("withdraw", order_id))


class NamedInMemory:
    """Orders by client order id: `at_hand` in memory, `stored` only in PostgreSQL."""

    def __init__(self) -> None:
        self.at_hand: dict[str, OrderRecord] = {}
        self.stored: dict[str, OrderRecord] = {}

    def named_at_hand(
        self, broker_id: str, symbol: str, client_order_id: str
    ) -> OrderRecord | None:
        return self.at_hand.get(client_order_id)

    async def named(self, broker_id: str, symbol: str, client_order_id: str) -> OrderRecord | None:
        return self.stored.get(client_order_id)


class ConnectedClient:
    """A session with its output and a clock that the test moves."""

    def __init__(self, *, public: bool = True) -> None:
        self.market = FeedMarket()
        self.client, self.output = self.market.client()
        self.keys = Keys()
        self.now_s = 0.0
        # Of operations whose id the test does not choose.
        self._ids = itertools.count(1_000_001)
        hello = Hello(1, "log", "boot", 0, public, 1, 5)
        self.calls = RecordedCalls()
        self.session = FeedSession(
            self.market.hub,
            self.client,
            self.keys,
            hello,
            lambda: self.now_s,
            OrderEntry(self.calls, "desk/boot/1"),
        )
        self.client.write_out()

    def ask(self, **fields: object) -> dict[str, Any]:
        """Send an operation and return its response."""
        self.session.receive(json.dumps({"id": next(self._ids), **fields}).encode())
        return self.output.of_type("response", "error")[-1]

    def send(self, **fields: object) -> None:
        """Send an operation whose response comes later."""
        self.session.receive(json.dumps(fields).encode())

    def place(self, client_order_id: str, request_id: int = 0, **more: object) -> None:
        order = ORDER | {"client_order_id": client_order_id}
        self.send(op="place", id=request_id or next(self._ids), order=order, **more)

    def subscribe(self, channel: str, symbols: object, **more: object) -> dict[str, Any]:
        return self.ask(op="subscribe", channel=channel, symbols=symbols, **more)
