"""The topics as an AsyncAPI 3.0 document, for catalogues and generators of clients.

Pure: generated from `schemas.topics` and the structs alone, so it always matches them.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from schemas.topics import TOPICS, Topic

VERSION = "3.0.0"
BINDING_VERSION = "0.5.0"
JSON = "application/json"
# Kafka's own settings are text; the binding wants these as numbers.
_NUMBER = re.compile(r"-?\d+")

# Example values of a message by variant.
Examples = Mapping[str, Any]


def document(examples: Mapping[type[Struct], Examples]) -> dict[str, Any]:
    """The whole document. `examples`: of each message, as decoded JSON."""
    messages = [(message, topic) for topic in TOPICS for message in topic.messages]
    _, schemas = msgspec.json.schema_components(
        [message for message, _ in messages], ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Mini stock exchange",
            "version": "1",
            "description": (
                "Messages of the exchange on Kafka: plain JSON, prices in integer cents, instants "
                "in milliseconds. The topics market.* are public. Changes within .v1 only add "
                "fields: ignore unknown ones."
            ),
        },
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {
                    "bootstrap": {
                        "default": "127.0.0.1:9092",
                        "description": "Host and port of a broker; `exchange run` prints it.",
                    }
                },
            }
        },
        "defaultContentType": JSON,
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"write.{topic.name}": _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {
                message.__name__: _message(message, topic, examples.get(message, {}))
                for message, topic in messages
            },
            "schemas": tidied(schemas, asyncapi=True),
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    spread = "as many partitions as the exchange has" if topic.by_symbol else "one partition"
    configuration: dict[str, Any] = {
        name: int(text) if _NUMBER.fullmatch(text) else text for name, text in topic.config.items()
    }
    configuration["cleanup.policy"] = [topic.config["cleanup.policy"]]
    kafka = {"topicConfiguration": configuration, "bindingVersion": BINDING_VERSION}
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.purpose} Key: {topic.key}; {spread}.",
        "messages": {
            message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}
            for message in topic.messages
        },
        "bindings": {"kafka": kafka if topic.by_symbol else {"partitions": 1, **kafka}},
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"Written by {topic.writer}; read by {', '.join(topic.readers)}.",
    }


def _message(message: type[Struct], topic: Topic, examples: Examples) -> dict[str, Any]:
    return {
        "name": message.__name__,
        "contentType": JSON,
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": BINDING_VERSION,
            }
        },
        "examples": [{"name": name, "payload": value} for name, value in examples.items()],
    }


def tidied(schema: Any, *, asyncapi: bool = False) -> Any:
    """A schema with descriptions on one line each, the same from every version of Python.

    `asyncapi`: in its dialect, draft 7 of JSON Schema, in which the positions of an array are
    `items`, and without discriminators, which only OpenAPI defines.
    """
    if isinstance(schema, list):
        return [tidied(each, asyncapi=asyncapi) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {name: tidied(value, asyncapi=asyncapi) for name, value in schema.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    if asyncapi and "prefixItems" in tidy:
        tidy["additionalItems"] = tidy.pop("items", True)
        tidy["items"] = tidy.pop("prefixItems")
    if asyncapi and "anyOf" in tidy:
        tidy.pop("discriminator", None)
    return tidy
