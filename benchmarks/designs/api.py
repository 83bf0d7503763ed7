"""The seven API calls over any design: keys, admission, status codes. The design gives the bodies.

Handlers read the raw request and return bytes, so nothing is validated or encoded twice.
"""

import secrets

import msgspec
from fastapi import Request, Response

from benchmarks.designs.brokers import Brokers
from benchmarks.designs.design import Design
from schemas.brokers import Broker
from schemas.rest import FieldFault, OrderResource, Registration
from schemas.units import OrderId, Symbol
from services.api.body import require_no_fields
from services.api.brokers import Caller
from services.api.decoding import invalid_fields
from services.api.headers import bearer_key
from services.api.messages import ProblemError, order_not_found
from services.api.query import count_fault
from services.ingest.admission import admit, admit_registration
from services.ingest.registration import RANDOM_BYTES, new_broker
from services.runtime.clock import now_ms

# As in the exchange's API: several times the largest order.
BODY_BYTES_MAX = 4 * 1024
TRADES_DEFAULT, TRADES_MAX = 50, 1_000
DEPTH_DEFAULT, DEPTH_MAX = 10, 50
_GONE = frozenset({"cancelled", "expired"})
_NO_CONDITIONS = (None, False, None, None, None, "none")


class DesignApi:
    """The handlers. Each raises ProblemError for a refused request."""

    def __init__(self, design: Design, brokers: Brokers) -> None:
        self._design = design
        self._brokers = brokers

    async def register(self, request: Request) -> Response:
        """`POST /register`."""
        if isinstance(await self._caller(request), Broker):
            raise ProblemError("forbidden", "this needs the admin key")
        wanted = admit_registration(await _body(request))
        randomness = secrets.token_bytes(RANDOM_BYTES)
        broker, api_key = new_broker(wanted, randomness, now_ms=now_ms())
        await self._brokers.add(broker)
        return _json(201, msgspec.json.encode(Registration(broker.broker_id, api_key)))

    async def place(self, request: Request) -> Response:
        """`POST /orders`."""
        broker = await self._broker(request)
        # The designs do not accept orders that have expired already, not even as retries.
        wanted = admit(await _body(request), now_ms(), retry_ms_max=0)
        conditions = (wanted.time_in_force, wanted.post_only, wanted.minimum_quantity)
        others = (wanted.stop_price, wanted.display_quantity, wanted.self_trade_prevention)
        if (*conditions, *others) != _NO_CONDITIONS:
            raise invalid_fields([FieldFault("", "conditions of orders are not offered here")])
        placed = await self._design.place(broker.broker_id, wanted)
        if placed.verdict == "reused":
            raise ProblemError("client_order_id_reused", "it belongs to another order")
        return _json(201 if placed.verdict == "placed" else 200, placed.order)

    async def cancel(self, request: Request) -> Response:
        """`POST /orders/{order_id}/cancel`."""
        broker = await self._broker(request)
        order_id = _order_id(request)
        require_no_fields(await _body(request))
        cancelled = await self._design.cancel(broker.broker_id, order_id)
        if cancelled is None:
            raise order_not_found()
        if cancelled.reason not in _GONE:
            raise ProblemError(
                "too_late_to_cancel",
                f"the order is closed already: {cancelled.reason}",
                order=msgspec.json.decode(cancelled.order, type=OrderResource),
            )
        return Response(status_code=204)

    async def order(self, request: Request) -> Response:
        """`GET /orders/{order_id}`."""
        broker = await self._broker(request)
        found = await self._design.order(broker.broker_id, _order_id(request))
        if found is None:
            raise order_not_found()
        return _json(200, found)

    async def price(self, request: Request) -> Response:
        """`GET /stocks/{symbol}/price`."""
        await self._broker(request)
        symbol, trades = _asked(request, "trades", TRADES_DEFAULT, TRADES_MAX)
        found = await self._design.price(symbol, trades)
        if found is None:
            raise ProblemError("no_trades", f"{symbol} was not traded yet.")
        return _json(200, found)

    async def book(self, request: Request) -> Response:
        """`GET /stocks/{symbol}/book`."""
        await self._broker(request)
        symbol, depth = _asked(request, "depth", DEPTH_DEFAULT, DEPTH_MAX)
        return _json(200, await self._design.book(symbol, depth))

    async def balance(self, request: Request) -> Response:
        """`GET /balance`."""
        return _json(200, await self._design.balance(await self._broker(request)))

    async def ready(self, _: Request) -> Response:
        """`GET /readyz`: the service is ready as soon as it answers."""
        return _json(200, b'{"status":"ready"}')

    async def _caller(self, request: Request) -> Caller:
        key = bearer_key(request.headers.get("authorization", ""))
        caller = None if key is None else await self._brokers.caller(key)
        if caller is None:
            raise ProblemError(
                "unauthenticated",
                "send Authorization: Bearer <key> with a key that is valid",
                headers=(("WWW-Authenticate", "Bearer"),),
            )
        return caller

    async def _broker(self, request: Request) -> Broker:
        caller = await self._caller(request)
        if isinstance(caller, Broker):
            return caller
        raise ProblemError("forbidden", "this needs a broker's key, not the admin's")


async def _body(request: Request) -> bytes:
    body = await request.body()
    if len(body) > BODY_BYTES_MAX:
        raise ProblemError("body_too_large", f"the body may have {BODY_BYTES_MAX} bytes")
    return body


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")


def _order_id(request: Request) -> str:
    try:
        return msgspec.convert(request.path_params["order_id"], OrderId)
    except msgspec.ValidationError:
        raise order_not_found() from None


def _asked(request: Request, name: str, default: int, most: int) -> tuple[str, int]:
    faults = []
    try:
        symbol = msgspec.convert(request.path_params["symbol"], Symbol)
    except msgspec.ValidationError as error:
        faults.append(FieldFault("/symbol", str(error)))
    text = request.query_params.get(name, str(default))
    count = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) else 0
    if not 1 <= count <= most:
        faults.append(FieldFault(f"/{name}", count_fault(most)))
    if faults:
        raise invalid_fields(faults)
    return symbol, count
