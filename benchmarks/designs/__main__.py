"""`python -m benchmarks.designs v1|v2|v3`: one of the three services on a separate port."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.resources import files

import psycopg
import uvicorn
from msgspec import Struct

from benchmarks.designs.app import ADMIN_KEY, DATABASE_URL

EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
# Workers short of CPU time must not be considered dead.
HEALTH_CHECK_S = 120
# Longer than any pause of the generator, so that connections last for a whole run.
KEEP_ALIVE_S = 75
# All clients connect at once at the start of a run.
BACKLOG = 2048


class Kind(Struct, frozen=True):
    """A design: its app, its SQL files, and the number of processes that may serve it."""

    app: str
    tables: tuple[str, ...]
    workers: int


KINDS = {
    "v1": Kind(
        "benchmarks.designs.in_postgres:app", ("tables.sql", "reads.sql", "matching.sql"), 2
    ),
    "v2": Kind("benchmarks.designs.reads_stored:app", ("tables.sql", "reads.sql"), 1),
    "v3": Kind("benchmarks.designs.in_memory:app", ("tables.sql",), 1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _options(arguments)
    kind = KINDS[options.design]
    if missing := [name for name in (DATABASE_URL, ADMIN_KEY) if not os.environ.get(name)]:
        sys.stderr.write(f"baselines: set {' and '.join(missing)}\n")
        return EXIT_USAGE
    try:
        _prepare(os.environ[DATABASE_URL], kind)
    except psycopg.OperationalError as error:
        sys.stderr.write(f"baselines: {DATABASE_URL}: {error}\n")
        return EXIT_UNAVAILABLE
    uvicorn.run(
        kind.app,
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=kind.workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_worker_healthcheck=HEALTH_CHECK_S,
        backlog=BACKLOG,
    )
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.designs",
        description="Serves the seven calls by one of three simpler designs. "
        f"{DATABASE_URL} names an empty database, or one of the same design; {ADMIN_KEY} is the "
        "admin's key.",
        epilog="SIGTERM answers the requests in progress and flushes. Exit codes: 2 usage; "
        "3 no database.",
    )
    parser.add_argument("design", choices=KINDS)
    parser.add_argument("--port", type=int, default=8000)
    return parser.parse_args(arguments)


def _prepare(database_url: str, kind: Kind) -> None:
    """Create the tables if they are missing."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT to_regclass('orders')").fetchone()
        if found is None or found[0] is None:
            for name in kind.tables:
                connection.execute(files("benchmarks.designs").joinpath(name).read_bytes())


if __name__ == "__main__":
    sys.exit(main())
