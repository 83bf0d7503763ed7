"""Exports the contract for consumers in other languages: JSON Schemas and AsyncAPI documents.

`python -m schemas.export` rewrites `json/`, `asyncapi.yaml` and `feed.asyncapi.yaml` in this
folder. This is the only module of the package that does I/O.
"""

import argparse
import re
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas.asyncapi import Examples, document, tidied
from schemas.feed_asyncapi import feed_document
from schemas.topics import BROKERS, TOPICS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HERE = Path(__file__).parent


def topic_schema(topic: Topic) -> dict[str, Any]:
    """The JSON Schema of a record of the topic: any of its messages."""
    if topic is BROKERS:
        # A broker's record has no tag, and msgspec describes unions of tagged messages only.
        any_of, components = msgspec.json.schema_components(
            topic.messages, ref_template="#/$defs/{name}"
        )
        schema = tidied({"anyOf": list(any_of), "$defs": components})
    else:
        schema = tidied(msgspec.json.schema(reduce(or_, topic.messages)))
    return {"$schema": DIALECT, "title": topic.name, "description": topic.purpose, **schema}


def examples_of(topic: Topic, message: type[Struct]) -> Examples:
    """Example values of a message by variant, such as `limit` and `market` of an order."""
    kind = re.sub(r"(?<=.)(?=[A-Z])", "_", message.__name__).lower()
    stem = f"{topic.name}.{kind}"
    return {
        path.stem.removeprefix(stem).lstrip(".") or kind: msgspec.json.decode(path.read_bytes())
        for path in sorted((HERE / "examples").glob(f"{stem}*.json"))
    }


def feed_examples() -> Examples:
    """Example values of the feed's messages by tag."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes())
        for path in sorted((HERE / "feed_examples").glob("*.json"))
    }


def write(directory: Path) -> list[Path]:
    """Write `json/<topic>.schema.json` for each topic, `asyncapi.yaml` and `feed.asyncapi.yaml`;
    create directories."""
    (directory / "json").mkdir(parents=True, exist_ok=True)
    written = {
        directory / "json" / f"{topic.name}.schema.json": msgspec.json.format(
            msgspec.json.encode(topic_schema(topic))
        )
        + b"\n"
        for topic in TOPICS
    }
    examples = {
        message: examples_of(topic, message) for topic in TOPICS for message in topic.messages
    }
    written[directory / "asyncapi.yaml"] = msgspec.yaml.encode(document(examples))
    written[directory / "feed.asyncapi.yaml"] = msgspec.yaml.encode(feed_document(feed_examples()))
    for path, text in written.items():
        path.write_bytes(text)
    return list(written)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m schemas.export",
        description="Write the contract as JSON Schemas, one file per topic, and as AsyncAPI "
        "documents of the topics and of the live feed.",
    )
    parser.add_argument(
        "directory", type=Path, nargs="?", default=HERE, help="default: the package's own folder"
    )
    for path in write(parser.parse_args(arguments).directory):
        print(path)


if __name__ == "__main__":
    main()
