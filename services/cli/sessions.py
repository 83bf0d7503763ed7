"""`exchange sessions`: ends what sessions left in the market."""

import os
from typing import Annotated

import typer
from msgspec import Struct

from services.admin.sessions import cancel_left
from services.cli.settings import readable_errors, show
from services.local.data_dir import operator_key, read_endpoints
from services.runtime.settings import read_settings

app = typer.Typer(help="Orders of sessions with cancel on disconnect.", no_args_is_help=True)


class CancelledSessions(Struct, frozen=True):
    """Number of orders that a gateway's sessions had left."""

    gateway: str
    cancelled: int


# A callback keeps `cancel` a command of its own name.
@app.callback()
def sessions() -> None:
    """Orders of sessions with cancel on disconnect."""


@app.command()
def cancel(
    gateway: Annotated[str, typer.Argument(help="Its name, as `session` of a login begins.")],
    *,
    url: Annotated[str, typer.Option(help="A running gateway; default: the local one.")] = "",
    wait: Annotated[float, typer.Option(min=0, help="Longest wait, in seconds.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Cancel the orders that sessions of a gateway left which was killed and does not come back.

    A gateway that runs cancels its own when it starts. Never name another one that runs: its
    sessions would lose their orders.
    """
    with readable_errors():
        settings = read_settings(os.environ)
        found = read_endpoints(settings.data_dir)
        local = found.url if found else f"http://127.0.0.1:{settings.port}"
        cancelled = cancel_left(url or local, operator_key(settings), gateway, wait)
        show(
            CancelledSessions(gateway, cancelled),
            as_json=as_json,
            text=lambda it: f"gateway {it.gateway}: {it.cancelled} orders cancelled, none is open",
        )
