"""Composes the page's half of the gateway."""

from services.api.service import ApiContext, Half
from services.page.assets import PageFiles
from services.page.operations import Operations, Sources
from services.page.sampler import SecondSamples
from services.page.serving import pages_of
from services.reader.app import Reader
from services.reader.command_log import CommandLog
from services.webhooks.deliveries import Deliveries


def half(
    context: ApiContext, reader: Reader, deliveries: Deliveries, files: PageFiles
) -> tuple[Half, Operations]:
    """The files of the page, and `GET /operations`, whose state live feeds have too. Subscribe it
    after the reader."""
    sampler = SecondSamples()
    context.dispatcher.subscribe(on_batch=sampler.apply)
    commands = CommandLog(context.kafka, context.topology)
    sources = Sources(commands.end, context.dispatcher.claim, deliveries.counts)
    operations = Operations(reader, context.health, sampler, sources, context.topology.partitions)
    served = Half(
        routers=[operations.router()],
        work=[sampler.run, operations.run, operations.count_webhooks],
        pages=pages_of(files.assets),
    )
    return served, operations
