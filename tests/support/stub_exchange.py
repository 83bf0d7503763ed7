"""Stub of the seven REST calls with constant answers, for tests of the load generator.

`python -m tests.support.stub_exchange PORT` serves until it is ended; with `--mute` it accepts
orders and never answers them.
"""

import asyncio
import sys
import uuid

from aiohttp import web

ADMIN_KEY = "the-admin-key-of-the-stub"


async def register(request: web.Request) -> web.Response:
    if request.headers["Authorization"] != f"Bearer {ADMIN_KEY}":
        return web.json_response({"code": "unauthenticated"}, status=401)
    return web.json_response({"broker_id": str(uuid.uuid4()), "api_key": "key"}, status=201)


async def place(request: web.Request) -> web.Response:
    if "--mute" in sys.argv:
        await asyncio.sleep(3_600)
    return web.json_response({"order_id": str(uuid.uuid4())}, status=201)


async def cancel(request: web.Request) -> web.Response:
    return web.json_response({"code": "too_late_to_cancel"}, status=409)


async def price(request: web.Request) -> web.Response:
    return web.json_response({"code": "no_trades"}, status=404)


async def ok(request: web.Request) -> web.Response:
    return web.json_response({})


def main() -> None:
    app = web.Application()
    app.router.add_post("/register", register)
    app.router.add_post("/orders", place)
    app.router.add_post("/orders/{order}/cancel", cancel)
    app.router.add_post("/orders/{order}/replace", ok)
    app.router.add_get("/orders/{order}", ok)
    app.router.add_get("/stocks/{symbol}/price", price)
    app.router.add_get("/stocks/{symbol}/book", ok)
    app.router.add_get("/balance", ok)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
