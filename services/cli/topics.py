"""`exchange topics`: creates and shows the topics."""

from typing import Annotated

import typer
from msgspec import Struct

from services.cli.settings import readable_errors, show
from services.local.data_dir import operator_settings
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.topics import TopicsAdmin

app = typer.Typer(help="The topics of the exchange.", no_args_is_help=True)


class TopicRow(Struct, frozen=True):
    """A topic's present state."""

    name: str
    partitions: int
    key: str
    writer: str
    readers: tuple[str, ...]
    config: dict[str, str]


@app.command()
def apply() -> None:
    """Create missing topics, set all policies, verify. Safe to repeat."""
    with readable_errors():
        settings = operator_settings()
        admin = TopicsAdmin(kafka_access(settings), settings.topic_prefix)
        topology = admin.apply(settings.partitions, settings.durability)
        typer.echo(f"{topology.partitions} partitions, durability {topology.durability}")


@app.command("show")
def show_topics(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """Show each topic with its partitions, policy, writer and readers."""
    with readable_errors():
        settings = operator_settings()
        rows = [
            TopicRow(
                name=topic.full_name(settings.topic_prefix),
                partitions=partitions,
                key=topic.key,
                writer=topic.writer,
                readers=topic.readers,
                config={key: config[key] for key in (*topic.config, "min.insync.replicas")},
            )
            for topic, partitions, config in TopicsAdmin(
                kafka_access(settings), settings.topic_prefix
            ).show()
        ]
        show(rows, as_json=as_json, text=_text)


def _text(rows: list[TopicRow]) -> str:
    lines: list[str] = []
    for row in rows:
        lines.append(f"{row.name}  partitions {row.partitions}  key: {row.key}")
        lines.append(f"    {row.writer} -> {', '.join(row.readers)}")
        lines.append("    " + "  ".join(f"{key}={value}" for key, value in row.config.items()))
    return "\n".join(lines)
