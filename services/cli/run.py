"""`exchange run`: a whole exchange in the foreground, until Ctrl-C or SIGTERM."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer
from msgspec import structs

from infra.jvm import Profile
from services.cli.banner import banner
from services.cli.settings import readable_errors
from services.cli.stack import running_exchange
from services.cli.supervisor import supervisor
from services.runtime.settings import Settings, read_settings


def run(
    *,
    profile: Annotated[
        Literal["short", "sustained"],
        typer.Option(help="How Kafka's JVM is run: quick to start, or for load that goes on."),
    ] = "sustained",
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep nothing: a data directory for this run only.")
    ] = False,
) -> None:
    """Start Kafka and PostgreSQL (unless EXCHANGE_KAFKA, EXCHANGE_DATABASE_URL name some) and all
    services; print how to use them; restart what dies; stop everything on Ctrl-C."""
    with readable_errors():
        settings = read_settings(os.environ)
        with stoppable():
            if ephemeral:
                with temporary_data_dir() as data_dir:
                    _run(structs.replace(settings, data_dir=data_dir), profile)
            else:
                _run(settings, profile)


def _run(settings: Settings, profile: Profile) -> None:
    typer.echo("starting ...", err=True)
    with running_exchange(settings.data_dir, settings, profile=profile) as stack:
        typer.echo(banner(stack.facts()))
        supervisor(stack, lambda line: typer.echo(line, err=True)).watch(lambda: True)


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C or SIGTERM unwinds what is inside, once: a second one cannot cut the end short."""

    def interrupt(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def temporary_data_dir() -> Iterator[Path]:
    """A directory that is gone afterwards. PostgreSQL may run as another user: it must get in."""
    data_dir = Path(tempfile.mkdtemp(prefix="exchange-"))
    try:
        data_dir.chmod(0o755)
        yield data_dir
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
