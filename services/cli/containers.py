"""`make up` and `make down`: starts and stops the exchange in containers."""

import os
from typing import Annotated

import typer

from infra.compose import ComposeProject
from services.cli.settings import readable_errors
from services.local.compose import IMAGE, banner, stack_of, wait_until_reached
from services.local.data_dir import forget_endpoints, write_endpoints

INTERRUPTED = 130

app = typer.Typer(
    name="python -m services.cli.containers",
    help="The exchange in containers. What compose.yaml interpolates are variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def up() -> None:
    """Build the image (unless EXCHANGE_IMAGE names one), start all and wait until all are ready."""
    with readable_errors():
        stack = stack_of(os.environ)
        project = ComposeProject(stack.project, stack.environ)
        try:
            if not os.environ.get(IMAGE):
                project.build()
            project.up(lambda line: typer.echo(line, err=True))
            wait_until_reached(stack.endpoints.url)
        except KeyboardInterrupt:
            typer.echo(
                "interrupted; the started containers keep running, `make down` ends them", err=True
            )
            raise typer.Exit(INTERRUPTED) from None
        write_endpoints(stack.data_dir, stack.endpoints)
        typer.echo(banner(stack))


@app.command()
def down(
    *,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Also remove the data: log, database, metrics.")
    ] = False,
) -> None:
    """Stop and remove the containers; the data stays in volumes for the next `up`."""
    with readable_errors():
        stack = stack_of(os.environ)
        ComposeProject(stack.project, stack.environ).down(volumes=volumes)
        forget_endpoints(stack.data_dir)


if __name__ == "__main__":
    app()
