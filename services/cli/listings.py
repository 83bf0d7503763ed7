"""`exchange listings`: the partition of each listed symbol."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Meta

from schemas.units import NewSymbol
from services.admin.listings import apply_shares, listed_symbols
from services.cli.settings import readable_errors, show
from services.local.data_dir import operator_settings
from services.runtime.errors import RefusedError

app = typer.Typer(help="Symbols and their partitions.", no_args_is_help=True)

Shares = dict[NewSymbol, Annotated[int, Meta(ge=0, le=1_000_000)]]


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help='JSON: {"PETR4": 180000, ...}, parts per million.')],
) -> None:
    """List symbols by their expected share of volume. Listed symbols keep their partition."""
    with readable_errors():
        try:
            shares = msgspec.json.decode(file.read_bytes(), type=Shares)
        except (OSError, msgspec.MsgspecError) as error:
            raise RefusedError(f"{file}: {error}") from error
        for listing in apply_shares(operator_settings(), shares):
            typer.echo(f"{listing.symbol:<10} partition {listing.partition}")


@app.command("show")
def show_listings(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """Show every listed symbol; other symbols are placed by the hash of their name."""
    with readable_errors():
        show(
            sorted(
                listed_symbols(operator_settings()).values(), key=lambda listing: listing.symbol
            ),
            as_json=as_json,
            text=lambda rows: (
                "\n".join(
                    f"{row.symbol:<10} partition {row.partition:<4} share {row.share_ppm} ppm"
                    for row in rows
                )
                or "no listings"
            ),
        )
