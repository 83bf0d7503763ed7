"""Serves the files of the page, with the headers that bound what a browser lets the page do."""

import re
from collections.abc import Mapping

from services.api.messages import AsgiApp, Headers, Receive, Scope, Send
from services.api.pages import Pages
from services.page.assets import Asset

# Host and port of a URL that may stand in a policy; anything else could add to it.
_PLAIN_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src {connect}; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'"
)
_FIXED: Headers = (
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Permissions-Policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    # Kept, and asked for again with the ETag: a new version is used at once.
    ("Cache-Control", "no-cache"),
)


def security_policy(host: str) -> str:
    """The Content-Security-Policy for a page requested with this Host header.

    Safari does not count WebSockets as 'self', so they are named.
    """
    connect = "'self'"
    if _PLAIN_HOST.fullmatch(host):
        connect += f" ws://{host} wss://{host}"
    return _POLICY.format(connect=connect)


def page_headers(asset: Asset, host: str) -> Headers:
    """All headers of a file but its length."""
    return (
        ("Content-Type", asset.content_type),
        ("ETag", asset.etag),
        ("Content-Security-Policy", security_policy(host)),
        *_FIXED,
    )


def pages_of(assets: Mapping[str, Asset]) -> Pages:
    """The application of these files, and their paths."""
    return Pages(_app(assets), tuple(assets))


def _app(assets: Mapping[str, Asset]) -> AsgiApp:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        asset = assets[scope["path"]]
        given = dict(scope["headers"])
        host = given.get(b"host", b"").decode("latin-1")
        status, body = 200, asset.body
        if _matches(given.get(b"if-none-match", b"").decode("latin-1"), asset.etag):
            status, body = 304, b""
        headers = [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in page_headers(asset, host)
        ]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _matches(given: str, etag: str) -> bool:
    """True if one of the tags of `If-None-Match` is this one, by the weak comparison (RFC 9110)."""
    tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
    return etag in tags or tags == ["*"]
