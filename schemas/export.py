"""JSON Schema of every message, for consumers that are not written in Python.

`python -m schemas.export DIR` writes one file per topic. Only this module of the package does I/O.
"""

import argparse
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec

from schemas.topics import TOPICS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """Message name to its schema, every message of every topic."""
    messages = [message for topic in TOPICS for message in topic.messages]
    return {message.__name__: msgspec.json.schema(message) for message in messages}


def topic_schema(topic: Topic) -> dict[str, Any]:
    """What a record of the topic may hold: any of its messages."""
    schema = msgspec.json.schema(reduce(or_, topic.messages))
    return {"$schema": DIALECT, "title": topic.name, "description": topic.purpose, **schema}


def write(directory: Path) -> list[Path]:
    """One `<topic>.schema.json` for each topic; makes the directory where there is none."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for topic in TOPICS:
        path = directory / f"{topic.name}.schema.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(topic_schema(topic))) + b"\n")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m schemas.export",
        description="Write the JSON Schema of every topic's messages, one file per topic.",
    )
    parser.add_argument("directory", type=Path, help="where to write; made if it does not exist")
    for path in write(parser.parse_args(arguments).directory):
        print(path)


if __name__ == "__main__":
    main()
