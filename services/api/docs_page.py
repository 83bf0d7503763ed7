"""`/docs` and `/openapi.json`. Swagger UI is served from an installed package, not from a CDN."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import partial
from importlib.resources import files

import msgspec
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from services.api.messages import Route
from services.api.openapi import document

# Of the contract, not of the program: additive changes keep it.
API_VERSION = "1"

_STATIC = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def add_pages(app: FastAPI, routes: Sequence[Route], title: str) -> list[str]:
    """Serve the document of these calls and its page; returns the paths."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=title,
        swagger_js_url="/static/swagger-ui-bundle.js",
        swagger_css_url="/static/swagger-ui.css",
        swagger_favicon_url="/static/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
    body = msgspec.json.encode(document(routes, title, API_VERSION))
    headers = {"Content-Security-Policy": _policy(bytes(page.body))}
    app.add_route("/docs", partial(_answer, HTMLResponse(page.body, headers=headers)))
    app.add_route("/openapi.json", partial(_answer, Response(body, media_type="application/json")))
    folder = files("fastapi_offline") / "static"
    for name, kind in _STATIC.items():
        asset = Response(
            (folder / name).read_bytes(),
            media_type=kind,
            headers={"Cache-Control": "public, max-age=86400"},
        )
        app.add_route(f"/static/{name}", partial(_answer, asset))
    return ["/docs", "/openapi.json", *(f"/static/{name}" for name in _STATIC)]


def _policy(page: bytes) -> str:
    """Own files, and the scripts inside the page by their hashes. Swagger UI sets styles inline."""
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each).digest()).decode() for each in scripts]
    allowed = "".join(f" 'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src 'self'{allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


async def _answer(response: Response, _: object) -> Response:
    return response
