"""The topics as an AsyncAPI 3.0 document, for catalogues and generators of clients.

Pure: made from `schemas.topics` and the structs alone, so it cannot say anything else than they do.
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

# The golden values of a message, by a name of their own.
Examples = Mapping[str, Any]


def document(examples: Mapping[type[Struct], Examples]) -> dict[str, Any]:
    """The whole document. `examples`: of each message, as it travels."""
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
                "What the exchange writes to Kafka: plain JSON, prices in integer cents, instants "
                "in milliseconds. The topics market.* are public. Within .v1 changes only add: "
                "ignore the fields that you do not know."
            ),
        },
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {
                    "bootstrap": {
                        "default": "127.0.0.1:9092",
                        "description": "Host and port of a broker; `exchange run` prints its own.",
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

    `asyncapi`: in its dialect, draft 7 of JSON Schema, where the places of an array are `items`,
    and without OpenAPI's discriminators: there that word means something else.
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
