"""Reads a request's headers and query string, and names the headers of every answer. Pure."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

# Of every answer: a browser neither guesses its type nor shows it inside another page.
SECURITY_HEADERS: Final = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "frame-ancestors 'none'"),
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RANGES_OF_JSON = ("application/json", "application/*", "*/*")


def read_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; a repeated field becomes one list, as RFC 9110 5.3 says."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1")
        value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def read_query(query_string: bytes) -> dict[str, str]:
    """The last value of each name; blank ones are kept."""
    if not query_string:
        return {}
    return dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))


def chosen_request_id(headers: Mapping[str, str]) -> str | None:
    """The client's own request id if it is safe to write anywhere."""
    given = headers.get("x-request-id")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else None


def bearer_key(authorization: str) -> str | None:
    """The key of `Authorization: Bearer <key>`; None for anything else."""
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    return key if key and scheme.lower() == "bearer" else None


@lru_cache(maxsize=256)
def is_json_type(content_type: str) -> bool:
    """True if the body is declared as JSON in UTF-8, or not declared at all."""
    kind, *parameters = [part.strip().lower() for part in content_type.split(";")]
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    return kind in ("", "application/json") and all(c in ("utf-8", "utf8") for c in charsets)


@lru_cache(maxsize=256)
def accepts_json(accept: str) -> bool:
    """RFC 9110 12.5.1: the most specific range that matches decides; weight 0 excludes it."""
    if not accept.strip():
        return True
    weights: dict[str, float] = {}
    for item in accept.split(","):
        kind, *parameters = [part.strip().lower() for part in item.split(";")]
        weights[kind] = _weight(parameters)
    for media_range in _RANGES_OF_JSON:
        if media_range in weights:
            return weights[media_range] > 0
    return False


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
