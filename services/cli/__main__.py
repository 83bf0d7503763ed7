"""`exchange`: the operator's command with all its subcommands."""

from importlib import metadata
from typing import Annotated

import typer

from services.cli import (
    access,
    audit,
    broker,
    doctor,
    listings,
    replay,
    run,
    sessions,
    topics,
    trim,
)
from services.local.signals import quiet_kafka
from services.runtime.errors import ExchangeError

# Equal to the version of pyproject.toml; a unit test compares them.
SOURCE_VERSION = "0.1.0"

_OTHER_EXIT_CODES = {0: ["done"], 1: ["a check failed, or an unexpected error"]}


def exit_codes() -> str:
    """The exit codes as one sentence, from the classes of `services.runtime.errors`."""
    meanings = {code: list(texts) for code, texts in _OTHER_EXIT_CODES.items()}
    for error in sorted(ExchangeError.__subclasses__(), key=lambda each: each.exit_code):
        text = (error.__doc__ or error.__name__).strip().rstrip(".")
        meanings.setdefault(error.exit_code, []).append(text[0].lower() + text[1:])
    each = (f"{code} {', or '.join(texts)}" for code, texts in meanings.items())
    return f"Exit codes: {'; '.join(each)}."


def version() -> str:
    """The installed version of the project, or the source tree's one if it is not installed."""
    try:
        return metadata.version("exchange")
    except metadata.PackageNotFoundError:
        return SOURCE_VERSION


app = typer.Typer(
    name="exchange",
    help="Run and look after an exchange. Settings are EXCHANGE_... variables.",
    epilog=exit_codes(),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"exchange {version()}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of `exchange` itself."""


app.command("run")(run.run)
app.command("audit")(audit.audit)
app.command("replay")(replay.replay)
app.command("doctor")(doctor.doctor)
app.add_typer(topics.app, name="topics")
app.add_typer(access.app, name="access")
app.add_typer(broker.app, name="broker")
app.add_typer(listings.app, name="listings")
app.add_typer(sessions.app, name="sessions")
app.add_typer(trim.app, name="trim")


def main() -> None:
    """Entry point of the console script."""
    quiet_kafka()
    app()


if __name__ == "__main__":
    main()
