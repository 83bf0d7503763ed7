"""`exchange broker`: registers brokers without the HTTP API, lists them, ends or replaces keys."""

from typing import Annotated

import typer
from msgspec import UNSET, Struct

from schemas.broker_records import BrokerRecords
from schemas.brokers import Broker
from schemas.codec import UnreadableError
from schemas.rest import Registration
from schemas.topics import BROKERS
from schemas.units import rfc3339
from services.admin.brokers import register_broker, revoke_broker, rotate_key
from services.cli.settings import readable_errors, show
from services.local.data_dir import operator_settings
from services.runtime.kafka.compacted import last_records

app = typer.Typer(help="Brokers and their keys.", no_args_is_help=True)

# Long enough for a broker to change its programs on the next day.
KEEP_OLD_S_MAX = 24 * 60 * 60

BrokerId = Annotated[str, typer.Argument(help="As `exchange broker list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class BrokerRow(Struct, frozen=True):
    """A broker, without the hash of its key."""

    broker_id: str
    name: str
    created_at: str
    webhook_url: str | None
    revoked_at: str | None = None


class NewKey(Struct, frozen=True):
    """Result of a rotation; the key is shown only once."""

    broker_id: str
    api_key: str


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="1 to 100 characters.")],
    *,
    webhook_url: Annotated[str | None, typer.Option(help="http(s) URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a broker. Its key, and its webhook secret, are printed only once."""
    with readable_errors():
        made = register_broker(operator_settings(), name, webhook_url)
        show(
            made,
            as_json=as_json,
            text=_made_text,
        )


@app.command("list")
def list_brokers(*, as_json: AsJson = False) -> None:
    """List all brokers in the order of registration."""
    with readable_errors():
        brokers = BrokerRecords()
        for key, value in last_records(operator_settings(), BROKERS).items():
            try:
                brokers.apply(key.encode(), value)
            except UnreadableError as error:
                typer.echo(f"unreadable record of {key!r}: {error}", err=True)
        rows = [_row(broker) for broker in brokers]
        rows.sort(key=lambda row: (row.created_at, row.broker_id))
        show(rows, as_json=as_json, text=_text)


@app.command()
def revoke(broker_id: BrokerId, *, as_json: AsJson = False) -> None:
    """End every key of a broker, everywhere within a second. Its open orders stay in the market.

    `rotate` gives the broker a new key and readmits it.
    """
    with readable_errors():
        show(
            _row(revoke_broker(operator_settings(), broker_id)),
            as_json=as_json,
            text=lambda row: f"broker {row.broker_id} has no valid key since {row.revoked_at}",
        )


@app.command()
def rotate(
    broker_id: BrokerId,
    *,
    keep_old_for: Annotated[
        int, typer.Option(min=0, max=KEEP_OLD_S_MAX, help="Seconds the old key stays valid too.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Give a broker a new key, printed only once. The old one ends within a second."""
    with readable_errors():
        show(
            NewKey(broker_id, rotate_key(operator_settings(), broker_id, keep_old_for)),
            as_json=as_json,
            text=lambda it: f"broker {it.broker_id}\napi key {it.api_key}",
        )


def _row(broker: Broker) -> BrokerRow:
    return BrokerRow(
        broker_id=broker.broker_id,
        name=broker.name,
        created_at=rfc3339(broker.created_at),
        webhook_url=broker.webhook_url,
        revoked_at=None if broker.revoked_at is None else rfc3339(broker.revoked_at),
    )


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
        + ("" if row.revoked_at is None else f"  revoked {row.revoked_at}")
        for row in rows
    )
