"""An order session: requests in the order sent, repeated after a lost connection. Pure."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

from exchange_client.calls import Call
from exchange_client.link_state import LinkState

# Orders whose ids are remembered, so that they can be cancelled by client order id.
REMEMBERED_MAX: Final = 10_000
_ERROR: Final = 400


@dataclass
class Ticket:
    """A request without a response yet. `times_sent`: over how many connections it was sent."""

    number: int
    call: Call
    times_sent: int = 0


@dataclass(frozen=True)
class SessionResponse:
    """The response to the request of a ticket."""

    ticket: Ticket
    status: int
    message: dict[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """The body that the answer by HTTP has; {} if it has none."""
        names = ("order", "pending", "cancelled", "valid", "problem")
        return next((self.message[name] for name in names if name in self.message), {})


class SessionState(LinkState):
    """The requests of a session. Responses come out of `responses`."""

    def __init__(self, key: str, *, cancel_on_disconnect: bool) -> None:
        super().__init__(key, cancel_on_disconnect=cancel_on_disconnect)
        self.responses: deque[SessionResponse] = deque()
        # In the order in which they were requested.
        self._waiting: dict[int, Ticket] = {}
        self._by_request: dict[int, int] = {}
        self._tickets = 0
        self._order_ids: OrderedDict[tuple[str, str], str] = OrderedDict()

    def request(self, call: Call) -> Ticket:
        """Send a request now, or as soon as there is a connection."""
        self._tickets += 1
        ticket = self._waiting[self._tickets] = Ticket(self._tickets, call)
        if self.is_ready:
            self._write(ticket)
        return ticket

    def forget(self, ticket: Ticket) -> None:
        """Send a request no more, and pass on no response to it."""
        self._waiting.pop(ticket.number, None)

    def log_out(self) -> None:
        """Leave the orders of this session in the market when it ends."""
        if self.is_ready:
            self._send("logout", {})

    def lost(self, reason: str) -> None:
        """Handle the end of the connection."""
        super().lost(reason)
        self._by_request.clear()

    def _begin(self, log: str, now: float, *, is_new_log: bool) -> None:
        for ticket in self._waiting.values():
            self._write(ticket)

    def _write(self, ticket: Ticket) -> None:
        ticket.times_sent += 1
        fields = dict(ticket.call.fields)
        # The name of an order is known only to the connection that placed it.
        named = (str(fields.get("symbol")), str(fields.get("client_order_id")))
        if ticket.call.operation == "cancel" and named in self._order_ids:
            fields = {"order_id": self._order_ids[named]}
        self._by_request[self._send(ticket.call.operation, fields)] = ticket.number

    def _responded(self, message: dict[str, Any], now: float) -> None:
        ticket = self._waiting.pop(self._by_request.pop(message["id"], 0), None)
        if ticket is None:
            return
        if ticket.call.operation == "place" and message["status"] < _ERROR:
            self._remember(ticket.call, message)
        self.responses.append(SessionResponse(ticket, message["status"], message))

    def _remember(self, call: Call, message: dict[str, Any]) -> None:
        order = message.get("order") or message.get("pending")
        if order is not None:
            symbol = str(call.fields["order"].get("symbol"))
            self._order_ids[symbol, call.client_order_id] = order["order_id"]
            if len(self._order_ids) > REMEMBERED_MAX:
                self._order_ids.popitem(last=False)

    def _handle(self, message: dict[str, Any], now: float) -> None:
        """Ignore heartbeats and notices."""
