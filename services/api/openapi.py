"""The OpenAPI 3.1 document, built from the calls and the structs of their bodies. Pure.

The answers of the shared checks (keys, limits, time-outs) are added to every call they apply to.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from schemas.batch import BatchOrder, BatchRequest
from schemas.market_controls import InstrumentRequest, PhaseRequest
from schemas.rest import (
    CancelSessionsRequest,
    OrderRequest,
    Problem,
    RegisterRequest,
    ReplaceRequest,
)
from services.api.messages import (
    PROBLEM_CONTENT_TYPE,
    PROBLEMS,
    Parameter,
    ProblemError,
    Route,
)
from services.api.routing import Resource

Document = dict[str, Any]

_ORDER = {
    "document_number": "12345678901",
    "side": "bid",
    "order_type": "limit",
    "symbol": "PETR4",
    "price": 3712,
    "quantity": 100,
    "valid_until": "2099-12-31T20:00:00Z",
    "client_order_id": "a-1",
}
_EXAMPLES: dict[type, Document] = {
    RegisterRequest: {"name": "Alfa Corretora", "webhook_url": "https://broker.example/trades"},
    OrderRequest: _ORDER,
    ReplaceRequest: {"quantity": 200, "price": 3714},
    CancelSessionsRequest: {"gateway": "gateway-1:8000"},
    PhaseRequest: {"phase": "halted", "expected": "continuous"},
    InstrumentRequest: {"reference_price": 3710, "tick_size": 1, "quantity_max": 100_000},
    BatchRequest: {
        "items": [
            {"place": {**_ORDER, "side": "ask", "price": 3713, "client_order_id": "a-2"}},
            {"cancel": {"order_id": "01a20a15-1e95-7000-8ce8-a7ea3106b0c2"}},
            {"replace": {"order_id": "01a20a15-1e95-7000-8ce8-a7ea3106b0c3", "price": 3714}},
        ]
    },
}
# Of calls that are open to anyone.
_OPEN = ("rate_limited",)
_KEYED = (
    "unauthenticated",
    "forbidden",
    "not_acceptable",
    "rate_limited",
    "not_accepted",
)
_POSTED = (
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
)
_ALWAYS = ("internal_error",)
_STATUSES = {
    200: "Done",
    201: "Created",
    202: "Written to the command log; the outcome did not arrive in time",
    204: "Done; no content",
}
_REQUEST_ID = {
    "description": "The X-Request-Id of the request if it is valid, else a new id.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
_LOCATION = {
    "description": "URL of the order.",
    "schema": {"type": "string", "format": "uri-reference"},
}
_RETRY_AFTER = {
    "description": "Seconds to wait before trying again.",
    "schema": {"type": "integer", "minimum": 0},
}
_HEADERS: dict[int, Document] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer"}},
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}


def document(routes: Sequence[Route], title: str, version: str) -> Document:
    """The whole document."""
    refs, components = _schemas(_kinds(routes))
    paths: Document = {}
    for call in routes:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": "Prices are integer cents, quantities shares, times RFC 3339 in UTC. "
            "Every error is a problem of RFC 9457.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "broker": {"type": "http", "scheme": "bearer", "description": "A broker's key."},
                "admin": {"type": "http", "scheme": "bearer", "description": "The admin key."},
            },
        },
    }


# Kept: the same calls are documented again for each application that a process makes.
@cache
def _schemas(kinds: tuple[type, ...]) -> tuple[dict[type, Document], Document]:
    """A reference to each kind, and the referenced schemas. Callers must not change them."""
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    _add_price_rules(components)
    return dict(zip(kinds, schemas, strict=True)), _plain_patterns(components)


def _kinds(routes: Sequence[Route]) -> tuple[type, ...]:
    kinds: dict[type, None] = {Problem: None}
    for call in routes:
        for kind in filter(None, (call.request, *call.answers.values())):
            if kind is not str:
                kinds[kind] = None
    return tuple(kinds)


def _add_price_rules(components: Document) -> None:
    # A rule between two fields, which the struct's types cannot express.
    for kind in (OrderRequest, BatchOrder):
        if kind.__name__ in components:
            _add_price_rule_to(components[kind.__name__])


def _add_price_rule_to(order: Document) -> None:
    price = order["properties"]["price"]["anyOf"]
    (number,) = [kind for kind in price if kind.get("type") == "integer"]
    null = {"type": "null"}

    def of_kind(kind: str, price: Document, stop_price: Document, *required: str) -> Document:
        properties = {"order_type": {"const": kind}, "price": price, "stop_price": stop_price}
        return {"properties": properties, "required": list(required)}

    order["anyOf"] = [
        of_kind("limit", number, null, "price"),
        of_kind("market", null, null, "order_type"),
        of_kind("stop", null, number, "order_type", "stop_price"),
        of_kind("stop_limit", number, number, "order_type", "price", "stop_price"),
    ]


def _plain_patterns(value: Any) -> Any:
    # `$` matches only the very end in JSON Schema, but also before a final newline in Python.
    if isinstance(value, dict):
        return {
            key: inner.replace(r"(?!\n)", "") if key == "pattern" else _plain_patterns(inner)
            for key, inner in value.items()
        }
    return [_plain_patterns(inner) for inner in value] if isinstance(value, list) else value


def _operation(call: Route, refs: dict[type, Document]) -> Document:
    words = [word.strip("{}") for word in call.path.split("/") if word]
    operation: Document = {
        "operationId": "_".join([call.method.lower(), *words]).replace(".", "_"),
        "summary": call.summary,
        "parameters": _parameters(call),
        "responses": _successes(call, refs) | _problems(call, refs),
    }
    if call.who == "market":
        # Without a key where market data is open to anyone.
        operation["security"] = [{"broker": []}, {}]
    elif call.who != "anyone":
        operation["security"] = [{call.who: []}]
    if call.request is not None:
        content = {"schema": refs[call.request]}
        if call.request in _EXAMPLES:
            content["example"] = _EXAMPLES[call.request]
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _parameters(call: Route) -> list[Document]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in Resource(call.path).names
    ]
    return [*path, *map(_parameter, call.parameters)]


def _parameter(parameter: Parameter) -> Document:
    described: Document = {"name": parameter.name, "in": parameter.where}
    if parameter.required:
        described["required"] = True
    return described | {"schema": parameter.schema, "description": parameter.description}


def _successes(call: Route, refs: dict[type, Document]) -> Document:
    responses: Document = {}
    for status, kind in sorted(call.answers.items()):
        headers: Document = {"X-Request-Id": _REQUEST_ID}
        if (call.method, call.path) == ("POST", "/orders") or status == 202:  # noqa: PLR2004
            headers["Location"] = _LOCATION
        if any(parameter.name == "Prefer" for parameter in call.parameters):
            headers["Preference-Applied"] = {
                "description": "The preferences that were applied.",
                "schema": {"type": "string"},
            }
        described = _STATUSES.get(status, "Not available now")
        responses[str(status)] = {"description": described, "headers": headers}
        if kind is str:
            # Without a schema: one of an event stream would be that of its single events.
            responses[str(status)]["content"] = {call.text_type: {}}
        elif kind is not None:
            responses[str(status)]["content"] = {"application/json": {"schema": refs[kind]}}
    return responses


def _problems(call: Route, refs: dict[type, Document]) -> Document:
    codes = {*call.problems, *_ALWAYS}
    codes |= {*(_OPEN if call.who == "anyone" else _KEYED)}
    if call.method != "GET":
        codes |= {*_POSTED}
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        str(status): _problem(status, each, refs[Problem])
        for status, each in sorted(by_status.items())
    }


def _problem(status: int, codes: list[str], schema: Document) -> Document:
    narrowed = {
        "allOf": [schema, {"properties": {"status": {"const": status}, "code": {"enum": codes}}}]
    }
    examples = {code: {"value": _example(code)} for code in codes}
    return {
        "description": "; ".join(PROBLEMS[code].title for code in codes),
        "headers": {"X-Request-Id": _REQUEST_ID} | _HEADERS.get(status, {}),
        "content": {PROBLEM_CONTENT_TYPE: {"schema": narrowed, "examples": examples}},
    }


def _example(code: str) -> Any:
    problem = ProblemError(code, "explains this occurrence of the problem")
    return msgspec.json.decode(problem.response("b7e4-1").body)
