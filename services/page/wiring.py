"""Composes the page's half of the gateway."""

from services.api.service import ApiContext, Half
from services.page.assets import PageFiles
from services.page.operations import Operations
from services.page.sampler import SecondSamples
from services.page.serving import pages_of
from services.reader.app import Reader
from services.reader.command_log import CommandLog


def half(context: ApiContext, reader: Reader, files: PageFiles) -> tuple[Half, Operations]:
    """The files of the page, and `GET /operations`, whose state live feeds have too. Subscribe it
    after the reader."""
    sampler = SecondSamples()
    context.dispatcher.subscribe(on_batch=sampler.apply)
    commands = CommandLog(context.kafka, context.topology)
    operations = Operations(
        reader, context.health, sampler, commands.end, context.topology.partitions
    )
    served = Half(
        routers=[operations.router()],
        work=[sampler.run, operations.run],
        pages=pages_of(files.assets),
    )
    return served, operations
