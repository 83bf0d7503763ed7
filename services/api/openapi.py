"""The OpenAPI 3.1 document, made from the table of calls and the structs they speak. Pure.

What the edge answers by itself (keys, limits, time-outs) is added to every call it stands before.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.rest import OrderRequest, Problem, RegisterRequest
from services.api.messages import PROBLEM_CONTENT_TYPE, PROBLEMS, ProblemError, Route
from services.api.routing import Resource

Document = dict[str, Any]

_EXAMPLES: dict[type, Document] = {
    RegisterRequest: {"name": "Alfa Corretora", "webhook_url": "https://broker.example/trades"},
    OrderRequest: {
        "document_number": "12345678901",
        "side": "bid",
        "order_type": "limit",
        "symbol": "PETR4",
        "price": 3712,
        "quantity": 100,
        "valid_until": "2099-12-31T20:00:00Z",
        "client_order_id": "a-1",
    },
}
_KEYED = (
    (401, "unauthenticated"),
    (403, "forbidden"),
    (406, "not_acceptable"),
    (429, "rate_limited"),
)
_POSTED = (
    (408, "request_timeout"),
    (413, "body_too_large"),
    (415, "unsupported_media_type"),
)
_ALWAYS = ((500, "internal_error"),)
_STATUSES = {
    200: "Done",
    201: "Created",
    202: "In the log; the outcome was not seen in time",
    204: "Done; nothing to tell",
}
_REQUEST_ID = {
    "description": "The client's X-Request-Id where it sent a fit one, else made here.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
_LOCATION = {
    "description": "Where the order is looked up.",
    "schema": {"type": "string", "format": "uri-reference"},
}
_RETRY_AFTER = {
    "description": "Seconds to wait before the next try.",
    "schema": {"type": "integer", "minimum": 0},
}
_HEADERS: dict[int, Document] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer"}},
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}


def document(routes: Sequence[Route], title: str, version: str) -> Document:
    """The whole document."""
    kinds = _kinds(routes)
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    refs = dict(zip(kinds, schemas, strict=True))
    _tell_prices_apart(components)
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
            "schemas": _plain_patterns(components),
            "securitySchemes": {
                "broker": {"type": "http", "scheme": "bearer", "description": "A broker's key."},
                "admin": {"type": "http", "scheme": "bearer", "description": "The admin key."},
            },
        },
    }


def _kinds(routes: Sequence[Route]) -> list[type]:
    kinds: dict[type, None] = {Problem: None}
    for call in routes:
        for kind in filter(None, (call.request, *call.answers.values())):
            if kind is not str:
                kinds[kind] = None
    return list(kinds)


def _tell_prices_apart(components: Document) -> None:
    # The rule between two fields that the struct's types cannot say.
    order = components.get(OrderRequest.__name__)
    if order is None:
        return
    price = order["properties"]["price"]["anyOf"]
    (number,) = [kind for kind in price if kind.get("type") == "integer"]
    limit = {"properties": {"order_type": {"const": "limit"}, "price": number}}
    market = {"properties": {"order_type": {"const": "market"}, "price": {"type": "null"}}}
    order["anyOf"] = [limit | {"required": ["price"]}, market | {"required": ["order_type"]}]


def _plain_patterns(value: Any) -> Any:
    # JSON Schema's `$` is the very end; only Python's needs to be told so.
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
    if call.who != "anyone":
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
    described = [
        {"name": p.name, "in": p.where, "schema": p.schema, "description": p.description}
        for p in call.parameters
    ]
    return [*path, *described]


def _successes(call: Route, refs: dict[type, Document]) -> Document:
    responses: Document = {}
    for status, kind in sorted(call.answers.items()):
        headers: Document = {"X-Request-Id": _REQUEST_ID}
        if call.path == "/orders" or status == 202:  # noqa: PLR2004
            headers["Location"] = _LOCATION
        if any(parameter.name == "Prefer" for parameter in call.parameters):
            headers["Preference-Applied"] = {
                "description": "The preferences that were honoured.",
                "schema": {"type": "string"},
            }
        described = _STATUSES.get(status, "Not now")
        responses[str(status)] = {"description": described, "headers": headers}
        if kind is str:
            responses[str(status)]["content"] = {"text/plain": {"schema": {"type": "string"}}}
        elif kind is not None:
            responses[str(status)]["content"] = {"application/json": {"schema": refs[kind]}}
    return responses


def _problems(call: Route, refs: dict[type, Document]) -> Document:
    told = set(call.problems) | set(_ALWAYS)
    if call.who != "anyone":
        told |= {*_KEYED, (503, "not_accepted")}
    if call.method == "POST":
        told |= set(_POSTED)
    responses: Document = {}
    for status in sorted({status for status, _ in told}):
        codes = sorted(code for other, code in told if other == status)
        responses[str(status)] = _problem(status, codes, refs[Problem])
    return responses


def _problem(status: int, codes: list[str], schema: Document) -> Document:
    narrowed = {
        "allOf": [schema, {"properties": {"status": {"const": status}, "code": {"enum": codes}}}]
    }
    examples = {code: {"value": _example(status, code)} for code in codes}
    return {
        "description": "; ".join(PROBLEMS[code].title for code in codes),
        "headers": {"X-Request-Id": _REQUEST_ID} | _HEADERS.get(status, {}),
        "content": {PROBLEM_CONTENT_TYPE: {"schema": narrowed, "examples": examples}},
    }


def _example(status: int, code: str) -> Any:
    problem = ProblemError(status, code, "what was wrong with this request")
    return msgspec.json.decode(problem.response("b7e4-1").body)
