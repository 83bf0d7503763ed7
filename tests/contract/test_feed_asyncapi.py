"""AsyncAPI document and golden messages of the live feed: complete, valid, and unchanged."""

import json
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest
from msgspec import Struct

from schemas import export
from schemas.feed import ServerMessage
from schemas.feed_asyncapi import CLIENT_MESSAGES, SERVER_MESSAGES, tag_of
from schemas.feed_requests import ClientMessage

FOLDER: Final = Path(export.__file__).parent
DOCUMENT: Final[dict[str, Any]] = msgspec.yaml.decode((FOLDER / "feed.asyncapi.yaml").read_bytes())
DRAFT_07: Final = "http://json-schema.org/draft-07/schema#"
MESSAGES: Final = (*CLIENT_MESSAGES, *SERVER_MESSAGES)

each_message = pytest.mark.parametrize("message", MESSAGES, ids=tag_of)


def golden(message: type[Struct]) -> bytes:
    return (FOLDER / "feed_examples" / f"{tag_of(message)}.json").read_bytes()


def validator(message: type[Struct]) -> Any:
    found = DOCUMENT["components"]["messages"][message.__name__]
    components = {"components": DOCUMENT["components"]}
    return jsonschema_rs.validator_for({"$schema": DRAFT_07, **found["payload"], **components})


@each_message
def test_golden_message_decoded_and_encoded_gives_the_same_bytes(message: type[Struct]) -> None:
    union: Any = ClientMessage if message in CLIENT_MESSAGES else ServerMessage
    decoded = msgspec.json.decode(golden(message), type=union)
    assert type(decoded) is message
    if message in SERVER_MESSAGES:
        assert msgspec.json.encode(decoded) == golden(message)


@each_message
def test_golden_message_is_the_example_and_valid_by_its_payload(message: type[Struct]) -> None:
    example = json.loads(golden(message))
    found = DOCUMENT["components"]["messages"][message.__name__]
    assert [each["payload"] for each in found["examples"]] == [example]
    validator(message).validate(example)
    assert not validator(message).is_valid({"type": "unknown", "op": "unknown"})


def test_every_golden_message_has_a_message() -> None:
    files = {path.stem for path in (FOLDER / "feed_examples").glob("*.json")}
    assert files == set(map(tag_of, MESSAGES))


def test_channel_and_operations_have_every_message() -> None:
    assert DOCUMENT["channels"]["feed"]["address"] == "/ws"
    assert list(DOCUMENT["channels"]["feed"]["messages"]) == [each.__name__ for each in MESSAGES]
    operations = DOCUMENT["operations"]
    listed = [
        reference["$ref"].rpartition("/")[2]
        for name in ("request", "publish")
        for reference in operations[name]["messages"]
    ]
    assert listed == [each.__name__ for each in MESSAGES]


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=tag_of)
def test_unknown_field_of_a_client_is_refused(message: type[Struct]) -> None:
    value = json.loads(golden(message)) | {"a_later_field": 1}
    assert not validator(message).is_valid(value)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(value), type=ClientMessage)


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=tag_of)
def test_unknown_field_of_the_exchange_is_ignored(message: type[Struct]) -> None:
    value = json.loads(golden(message)) | {"a_later_field": 1}
    assert validator(message).is_valid(value)
    decoded = msgspec.json.decode(json.dumps(value), type=ServerMessage)
    assert msgspec.json.encode(decoded) == golden(message)
