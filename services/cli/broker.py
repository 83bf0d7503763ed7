"""`exchange broker`: register brokers without the HTTP API, list those there are."""

from typing import Annotated

import typer
from msgspec import UNSET, Struct

from schemas.codec import UnreadableError, decode_broker
from schemas.rest import Registration
from schemas.topics import BROKERS
from schemas.units import rfc3339
from services.cli.compacted import last_records
from services.cli.registration import register_broker
from services.cli.settings import operator_settings, readable_errors, show

app = typer.Typer(help="Who may trade.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


class BrokerRow(Struct, frozen=True):
    """A broker, without the hash of its key."""

    broker_id: str
    name: str
    created_at: str
    webhook_url: str | None


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="1 to 100 characters.")],
    *,
    webhook_url: Annotated[str | None, typer.Option(help="http(s) URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a broker. Its key, and its webhooks' secret, are printed this once."""
    with readable_errors():
        made = register_broker(operator_settings(), name, webhook_url)
        show(
            made,
            as_json=as_json,
            text=_made_text,
        )


@app.command("list")
def list_brokers(*, as_json: AsJson = False) -> None:
    """Every broker, in the order of registration."""
    with readable_errors():
        rows: list[BrokerRow] = []
        for key, value in last_records(operator_settings(), BROKERS.name).items():
            try:
                found = decode_broker(value)
            except UnreadableError as error:
                typer.echo(f"unreadable record of {key!r}: {error}", err=True)
                continue
            created = rfc3339(found.created_at)
            rows.append(BrokerRow(found.broker_id, found.name, created, found.webhook_url))
        rows.sort(key=lambda row: (row.created_at, row.broker_id))
        show(rows, as_json=as_json, text=_text)


def _made_text(made: Registration) -> str:
    lines = [f"broker {made.broker_id}", f"api key {made.api_key}"]
    if made.webhook_secret is not UNSET:
        lines.append(f"webhook secret {made.webhook_secret}")
    return "\n".join(lines)


def _text(rows: list[BrokerRow]) -> str:
    if not rows:
        return "no brokers"
    return "\n".join(
        f"{row.broker_id}  {row.created_at}  {row.name}  {row.webhook_url or ''}".rstrip()
        for row in rows
    )
