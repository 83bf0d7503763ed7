"""FastAPI around a design: connections, routes, problems. It lives as long as its process."""

import contextlib
import gc
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI, Request, Response
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.exceptions import HTTPException

from benchmarks.designs.api import DesignApi
from benchmarks.designs.brokers import Brokers
from benchmarks.designs.design import Design
from services.api.messages import ProblemError, not_accepted
from services.runtime.lifecycle import COLLECT_AFTER

DATABASE_URL = "EXCHANGE_DATABASE_URL"
ADMIN_KEY = "EXCHANGE_ADMIN_KEY"
# More connections than cores would only move the queue from the pool into PostgreSQL.
CONNECTIONS_MAX = 8
# Plans are made while the tables are empty, when sequential scans would wrongly look cheap.
SESSION = "-c enable_seqscan=off -c enable_bitmapscan=off -c jit=off"
_REQUEST_PREFIX = secrets.token_hex(4)
_REQUEST_COUNT = itertools.count(1)


def make_app(make_design: Callable[[AsyncConnectionPool], Design]) -> FastAPI:
    """The ASGI app for uvicorn. Reads its settings from the environment."""
    pool = AsyncConnectionPool(
        os.environ[DATABASE_URL],
        open=False,
        min_size=2,
        max_size=CONNECTIONS_MAX,
        kwargs={"autocommit": True, "prepare_threshold": 1, "options": SESSION},
    )
    design = make_design(pool)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await pool.open(wait=True)
        await design.open()
        # As in the exchange's processes: existing objects are permanent, and messages have no
        # cycles.
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        yield
        await design.close()
        await pool.close()

    app = FastAPI(lifespan=life, openapi_url=None)
    api = DesignApi(design, Brokers(pool, os.environ[ADMIN_KEY]))
    app.add_route("/register", api.register, ["POST"])
    app.add_route("/orders", api.place, ["POST"])
    app.add_route("/orders/{order_id}", api.order, ["GET"])
    app.add_route("/orders/{order_id}/cancel", api.cancel, ["POST"])
    app.add_route("/stocks/{symbol}/price", api.price, ["GET"])
    app.add_route("/stocks/{symbol}/book", api.book, ["GET"])
    app.add_route("/balance", api.balance, ["GET"])
    app.add_route("/readyz", api.ready, ["GET"])
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(PoolTimeout, _no_connection)
    app.add_exception_handler(OperationalError, _lost_connection)
    return app


# A handler that is not a coroutine would run in another thread, at additional cost.
async def _problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    request_id = f"{_REQUEST_PREFIX}-{next(_REQUEST_COUNT)}"
    answer = error.response(request_id)
    headers = {"X-Request-Id": request_id, **dict(answer.headers)}
    return Response(answer.body, answer.status, headers, answer.content_type)


async def _no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:  # noqa: PLR2004
        return await _problem(request, ProblemError("method_not_allowed", "see Allow"))
    return await _problem(request, ProblemError("not_found", "no call has this path"))


async def _no_connection(request: Request, _: Exception) -> Response:
    return await _problem(request, not_accepted("no connection to the database was free in time"))


async def _lost_connection(request: Request, error: Exception) -> Response:
    reason = f"the database went away: {error}"
    return await _problem(request, ProblemError("outcome_unknown", reason))
