"""Decodes and validates the bodies of ingest's calls. Pure: no clock, no randomness, no I/O.

A valid request is decoded once, strictly. Only a refused one is decoded a second time, field by
field, so that the problem lists every fault at once.
"""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from schemas.conditions import condition_faults, display_fault
from schemas.rest import FieldFault, OrderRequest, RegisterRequest, ReplaceRequest
from schemas.units import CLIENT_ORDER_ID_WINDOW_MS, TIMESTAMP_MS_MAX, milliseconds
from services.api.decoding import (
    DECODE_ERRORS,
    Faults,
    body_problem,
    invalid_fields,
    require_single_names,
)

# Fields of an order that have no default.
_NAMES_NEEDED = 4

_orders = msgspec.json.Decoder(OrderRequest)
_replacements = msgspec.json.Decoder(ReplaceRequest)
_registers = msgspec.json.Decoder(RegisterRequest)


def admit(
    body: bytes, now_ms: int, *, retry_ms_max: int = CLIENT_ORDER_ID_WINDOW_MS
) -> OrderRequest:
    """The order of a body. Raises ProblemError: malformed_json or invalid.

    `retry_ms_max`: time after `valid_until` in which an order with a client order id is admitted.
    It may be a retry of an order that was accepted in time, which only the engine can detect.
    """
    oldest_ms = now_ms - retry_ms_max
    try:
        order = _orders.decode(body)
    except DECODE_ERRORS:
        raise body_problem(
            body, OrderRequest, lambda fields: contradictions(fields, now_ms, oldest_ms)
        ) from None
    if b"\\" in body or body.count(b":") != names_given(order) + (b'"order_type":' in body):
        require_single_names(body)
    faults = order_faults(order, now_ms, oldest_ms)
    if faults:
        raise invalid_fields(faults)
    return order


def names_given(order: OrderRequest) -> int:
    """The least number of names that the body of a decoded order has, leaving out `order_type`.

    In JSON without escapes each name has a colon. A body with so many colons, and one more for
    `order_type`, therefore gives no name twice; with more it may.
    """
    return (
        _NAMES_NEEDED
        + (order.price is not None)
        + (order.client_order_id is not None)
        + (order.minimum_quantity is not None)
        + (order.time_in_force is not None)
        + (order.display_quantity is not None)
        + (order.self_trade_prevention != "none")
        + order.post_only
    )


def admit_replacement(body: bytes, now_ms: int) -> ReplaceRequest:
    """The new values of a body. Raises ProblemError: malformed_json or invalid."""
    try:
        values = _replacements.decode(body)
    except DECODE_ERRORS:
        raise body_problem(
            body, ReplaceRequest, lambda fields: replacement_faults(fields, now_ms)
        ) from None
    require_single_names(body)
    faults = replacement_faults(structs.asdict(values), now_ms)
    if faults:
        raise invalid_fields(faults)
    return values


def replacement_faults(fields: dict[str, Any], now_ms: int) -> Faults:
    """Faults between valid fields of a replacement; `fields` lacks those that are not."""
    values = [fields.get(name, 0) for name in ReplaceRequest.__struct_fields__]
    if all(value is None for value in values):
        names = ", ".join(ReplaceRequest.__struct_fields__)
        return [FieldFault("", f"needs a new value of one of {names}")]
    faults = _bad_end(fields, now_ms, now_ms)
    display, quantity = fields.get("display_quantity"), fields.get("quantity")
    fault = display_fault(display, quantity) if display and quantity is not None else None
    return faults if fault is None else [*faults, FieldFault("/display_quantity", fault)]


def admit_registration(body: bytes) -> RegisterRequest:
    """The registration of a body. Raises ProblemError: malformed_json or invalid."""
    try:
        request = _registers.decode(body)
    except DECODE_ERRORS:
        raise body_problem(body, RegisterRequest, _bad_webhook) from None
    require_single_names(body)
    faults = _bad_webhook({"webhook_url": request.webhook_url})
    if faults:
        raise invalid_fields(faults)
    return request


def order_faults(order: OrderRequest, now_ms: int, oldest_ms: int) -> Faults:
    """Faults between the fields of a decoded order."""
    if (
        order.valid_until is None
        and order.time_in_force is None
        and not order.post_only
        and order.minimum_quantity is None
        and order.stop_price is None
        and order.display_quantity is None
        and order.order_type == ("market" if order.price is None else "limit")
    ):
        # Most orders: only a price can contradict their type.
        return []
    fields = {
        "order_type": order.order_type,
        "price": order.price,
        "valid_until": order.valid_until,
        "client_order_id": order.client_order_id,
        "quantity": order.quantity,
        "time_in_force": order.time_in_force,
        "post_only": order.post_only,
        "minimum_quantity": order.minimum_quantity,
        "side": order.side,
        "stop_price": order.stop_price,
        "display_quantity": order.display_quantity,
    }
    return contradictions(fields, now_ms, oldest_ms)


def contradictions(fields: dict[str, Any], now_ms: int, oldest_ms: int) -> Faults:
    """Faults between fields that are each valid. `fields` lacks those that are already refused.

    `oldest_ms`: limit of `valid_until` for an order that may be a retry.
    """
    faults: Faults = []
    kind = fields.get("order_type")
    if "price" in fields:
        if kind in ("limit", "stop_limit") and fields["price"] is None:
            faults.append(FieldFault("/price", f"a {kind} order needs a price"))
        elif kind in ("market", "stop") and fields["price"] is not None:
            faults.append(FieldFault("/price", f"a {kind} order has no price"))
    is_stop = kind in ("stop", "stop_limit")
    if kind is not None and "stop_price" in fields and is_stop == (fields["stop_price"] is None):
        needs = "needs a" if is_stop else "has no"
        faults.append(FieldFault("/stop_price", f"a {kind} order {needs} stop_price"))
        del fields["stop_price"]
    faults += _bad_end(fields, now_ms, oldest_ms)
    faults += [FieldFault(f"/{name}", reason) for name, reason in condition_faults(fields)]
    return faults


def _bad_end(fields: dict[str, Any], now_ms: int, oldest_ms: int) -> Faults:
    valid_until = fields.get("valid_until")
    if valid_until is None:
        return []
    until_ms = milliseconds(valid_until)
    may_be_retry = fields.get("client_order_id") is not None
    if until_ms <= (oldest_ms if may_be_retry else now_ms):
        detail = "is too long ago, even for a retry" if may_be_retry else "must be in the future"
        return [FieldFault("/valid_until", detail)]
    if until_ms > TIMESTAMP_MS_MAX:
        return [FieldFault("/valid_until", "is later than RFC 3339 can write")]
    return []


def _bad_webhook(fields: dict[str, Any]) -> Faults:
    url = fields.get("webhook_url")
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        fit = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    return [] if fit else [FieldFault("/webhook_url", "must be an http(s) URL with a host")]
