"""The WebSocket feed as an AsyncAPI 3.0 document, for generators of clients.

Pure: generated from the structs of `schemas.feed` alone, so it always matches them.
"""

from typing import Any, get_args

import msgspec
from msgspec import Struct

from schemas.asyncapi import JSON, VERSION, Examples, tidied
from schemas.feed import FEED_VERSION, ServerMessage
from schemas.feed_requests import ClientMessage

CLIENT_MESSAGES: tuple[type[Struct], ...] = get_args(ClientMessage)
SERVER_MESSAGES: tuple[type[Struct], ...] = get_args(ServerMessage)


def tag_of(message: type[Struct]) -> str:
    """The value of a message's `op` or `type`."""
    return str(message.__struct_config__.tag)


def feed_document(examples: Examples) -> dict[str, Any]:
    """The whole document. `examples`: decoded JSON by tag."""
    messages = (*CLIENT_MESSAGES, *SERVER_MESSAGES)
    _, schemas = msgspec.json.schema_components(
        messages, ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Mini stock exchange: live feed",
            "version": str(FEED_VERSION),
            "description": (
                "JSON text frames of a WebSocket. Prices are integer cents, instants milliseconds. "
                "Ignore unknown fields and types of the exchange's messages."
            ),
        },
        "servers": {
            "gateway": {
                "host": "{gateway}",
                "protocol": "ws",
                "variables": {
                    "gateway": {
                        "default": "127.0.0.1:8000",
                        "description": "Host and port of a gateway; `exchange run` prints it.",
                    }
                },
            }
        },
        "defaultContentType": JSON,
        "channels": {
            "feed": {
                "address": "/ws",
                "messages": {
                    message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}
                    for message in messages
                },
            }
        },
        "operations": {
            "request": _operation("receive", "Operations of a client.", CLIENT_MESSAGES),
            "publish": _operation("send", "Messages of the exchange.", SERVER_MESSAGES),
        },
        "components": {
            "messages": {message.__name__: _message(message, examples) for message in messages},
            "schemas": tidied(schemas, asyncapi=True),
        },
    }


def _operation(action: str, summary: str, messages: tuple[type[Struct], ...]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/feed"},
        "summary": summary,
        "messages": [
            {"$ref": f"#/channels/feed/messages/{message.__name__}"} for message in messages
        ],
    }


def _message(message: type[Struct], examples: Examples) -> dict[str, Any]:
    tag = tag_of(message)
    return {
        "name": message.__name__,
        "contentType": JSON,
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "examples": [{"name": tag, "payload": examples[tag]}] if tag in examples else [],
    }
