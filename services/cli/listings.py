"""`exchange listings`: which partition trades which symbol."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Meta

from schemas.codec import UnreadableError, decode_listing, encode
from schemas.listings import Listing
from schemas.topics import COMMANDS, LISTINGS
from schemas.units import Symbol
from services.cli.errors import RefusedError
from services.cli.listing_plan import listings_for, refuse_moves
from services.cli.settings import operator_settings, readable_errors, show
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.compacted import last_records
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.producer import FailFastSender
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings

app = typer.Typer(help="Which partition trades which symbol.", no_args_is_help=True)

Shares = dict[Symbol, Annotated[int, Meta(ge=0, le=1_000_000)]]


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help='JSON: {"PETR4": 180000, ...}, parts per million.')],
) -> None:
    """List symbols by their expected share of volume. A listed symbol stays where it is."""
    with readable_errors():
        try:
            shares = msgspec.json.decode(file.read_bytes(), type=Shares)
        except (OSError, msgspec.MsgspecError) as error:
            raise RefusedError(f"{file}: {error}") from error
        for listing in apply_shares(operator_settings(), shares):
            typer.echo(f"{listing.symbol:<10} partition {listing.partition}")


@app.command("show")
def show_listings(
    *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Every listed symbol; all others are placed by the hash of their name."""
    with readable_errors():
        show(
            sorted(_listed(operator_settings()).values(), key=lambda listing: listing.symbol),
            as_json=as_json,
            text=lambda rows: (
                "\n".join(
                    f"{row.symbol:<10} partition {row.partition:<4} share {row.share_ppm} ppm"
                    for row in rows
                )
                or "no listings"
            ),
        )


def apply_shares(settings: Settings, shares: Mapping[str, int]) -> list[Listing]:
    """Write the listings that are new or changed; those written. Raises RefusedError."""
    topology = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    listed = _listed(settings)
    wanted = listings_for(shares, listed, topology.partitions)
    refuse_moves(wanted, _traded(settings, topology.partitions), listed)
    sender = FailFastSender(kafka_access(settings), linger_ms=settings.linger_ms)
    topic = settings.topic_prefix + LISTINGS.name
    for listing in wanted:
        sender.send(topic, 0, listing.symbol.encode(), encode(listing))
    sender.flush()
    return wanted


def _listed(settings: Settings) -> dict[str, Listing]:
    found: dict[str, Listing] = {}
    for key, value in last_records(settings, LISTINGS.name).items():
        try:
            found[key] = decode_listing(value)
        except UnreadableError as error:
            raise RefusedError(f"the listing of {key!r} cannot be read: {error}") from error
    return found


def _traded(settings: Settings, partitions: int) -> dict[str, frozenset[int]]:
    """Partitions that hold commands, by symbol. Orders carry their symbol as the record's key."""
    found: dict[str, frozenset[int]] = {}
    for number in range(partitions):
        partition = Partition(settings.topic_prefix + COMMANDS.name, number)
        with closing(LogReader(kafka_access(settings), partition)) as reader:
            for symbol in {record.key for record in reader.records() if record.key}:
                name = symbol.decode(errors="replace")
                found[name] = found.get(name, frozenset()) | {number}
    return found
