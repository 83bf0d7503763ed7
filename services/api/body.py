"""Reads a request's body within bounds of size and time, whatever its headers announce."""

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from services.api.decoding import DECODE_ERRORS, body_problem
from services.api.headers import is_json_type
from services.api.messages import ProblemError, Receive, Route

# A body is one packet; a client that takes longer has stalled.
BODY_SECONDS_MAX = 10.0

_CLOSE = (("Connection", "close"),)


# Bodies without content: clients of calls that need none send these. Not decoded.
_EMPTY = frozenset({b"", b"{}", b"null"})
# White space of JSON.
_BLANKS = b" \t\r\n"


class NoFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a call that takes no fields."""


_no_fields = msgspec.json.Decoder(NoFields)


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete; no answer is sent."""


def has_body(headers: Mapping[str, str]) -> bool:
    """True if the headers announce a body (RFC 9112 6.3)."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def check_body_headers(headers: Mapping[str, str], bytes_max: int) -> None:
    """Raises ProblemError (415, 413) for a body that can be refused unread."""
    if not is_json_type(headers.get("content-type", "")):
        raise ProblemError(
            "unsupported_media_type",
            "Content-Type must be application/json in UTF-8",
            headers=(("Accept-Post", "application/json"), *_CLOSE),
        )
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ProblemError(
            "unsupported_media_type",
            "Content-Encoding must be identity",
            headers=(("Accept-Encoding", "identity"), *_CLOSE),
        )
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > bytes_max:
        raise _too_large(bytes_max)


async def read_body_of(call: Route, headers: Mapping[str, str], receive: Receive) -> bytes:
    """The body of a POST or PUT; empty where there is none. Raises as the two functions below."""
    if call.method == "GET" or not has_body(headers):
        return b""
    check_body_headers(headers, call.body_bytes_max)
    return await read_body(receive, call.body_bytes_max)


async def read_body(receive: Receive, bytes_max: int) -> bytes:
    """The whole body. Raises ProblemError (413, 408) or ClientGoneError."""
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await _read(receive, bytes_max)
    except TimeoutError:
        raise ProblemError(
            "request_timeout",
            f"the body did not arrive within {BODY_SECONDS_MAX:.0f} s",
            headers=_CLOSE,
        ) from None


async def _read(receive: Receive, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            raise _too_large(bytes_max)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def require_no_fields(body: bytes) -> None:
    """Accepts a missing, blank or null body and an object without fields.

    Raises ProblemError: malformed_json for a body that is not JSON, invalid for any other.
    """
    if body in _EMPTY or body.strip(_BLANKS) in _EMPTY:
        return
    try:
        _no_fields.decode(body)
    except DECODE_ERRORS:
        raise body_problem(body, NoFields) from None


def _too_large(bytes_max: int) -> ProblemError:
    detail = f"the body may have at most {bytes_max} bytes"
    return ProblemError("body_too_large", detail, headers=_CLOSE)
