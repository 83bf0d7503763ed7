"""Output and errors of commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import typer

from infra.errors import InfraError
from services.runtime.errors import ExchangeError

EXIT_INFRA = 3

T = TypeVar("T")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn errors into one line on standard error and the error's exit code."""
    try:
        yield
    except ExchangeError as error:
        typer.echo(f"exchange: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except InfraError as error:
        typer.echo(f"exchange: {error}", err=True)
        raise typer.Exit(EXIT_INFRA) from error


def show(value: T, *, as_json: bool, text: Callable[[T], str]) -> None:
    """Print a value as JSON or as text."""
    typer.echo(msgspec.json.encode(value).decode() if as_json else text(value))
