"""`exchange run`: a whole exchange in the foreground, until Ctrl-C or SIGTERM."""

import os
from contextlib import ExitStack
from typing import Annotated, Literal

import typer
from msgspec import structs

from infra.jvm import Profile
from infra.process import UMASK
from services.cli.settings import readable_errors
from services.local.aot_training import aot_training
from services.local.banner import banner
from services.local.exchange import running_exchange
from services.local.signals import stoppable, temporary_data_dir
from services.local.supervisor import supervisor
from services.runtime.settings import Settings, read_settings


def run(
    *,
    profile: Annotated[
        Literal["short", "sustained"],
        typer.Option(help="Options of Kafka's JVM: for a quick start, or for sustained load."),
    ] = "sustained",
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep nothing: a data directory for this run only.")
    ] = False,
) -> None:
    """Start Kafka and PostgreSQL (unless EXCHANGE_KAFKA or EXCHANGE_DATABASE_URL name others) and
    all services; print how to use them; restart processes that die; stop everything on Ctrl-C.

    Orders need Kafka, matcher and gateway. PostgreSQL, sink and webhook sender are helpers: while
    one does not start, orders are served and /readyz lists it.
    """
    # Folders and files of this process too; a caller's 0777 would make its own unreadable.
    os.umask(UMASK)
    with readable_errors():
        settings = read_settings(os.environ)
        try:
            with stoppable(), ExitStack() as ending:
                if ephemeral:
                    data_dir = ending.enter_context(temporary_data_dir())
                    settings = structs.replace(settings, data_dir=data_dir)
                _run(settings, profile)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def _run(settings: Settings, profile: Profile) -> None:
    def report(line: str) -> None:
        typer.echo(line, err=True)

    report("starting ...")
    with running_exchange(
        settings.data_dir, settings, profile=profile, helpers_required=False
    ) as stack:
        typer.echo(banner(stack.facts()))
        with aot_training(stack, report):
            supervisor(stack, report).watch(lambda: True)
