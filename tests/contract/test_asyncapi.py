"""AsyncAPI document and topic schemas: up to date in the repository, valid and complete."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest

from schemas import export
from schemas.asyncapi import tidied
from schemas.topics import TOPICS, Topic

FOLDER: Final = Path(export.__file__).parent
DOCUMENT: Final[dict[str, Any]] = msgspec.yaml.decode((FOLDER / "asyncapi.yaml").read_bytes())
DRAFT_07: Final = "http://json-schema.org/draft-07/schema#"

each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def references(node: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from references(each)


def resolved(reference: str) -> Any:
    """Target of a reference within the document. Raises KeyError if there is none."""
    assert reference.startswith("#/")
    node: Any = DOCUMENT
    for name in reference[2:].split("/"):
        node = node[name]
    return node


def test_export_writes_the_files_of_the_repository(tmp_path: Path) -> None:
    written = {path.relative_to(tmp_path): path.read_bytes() for path in export.write(tmp_path)}
    documents = {Path("asyncapi.yaml"), Path("feed.asyncapi.yaml")}
    names = documents | {*(Path(f"json/{topic.name}.schema.json") for topic in TOPICS)}
    assert written.keys() == names
    kept = {path.relative_to(FOLDER) for path in FOLDER.glob("json/*")}
    assert kept | documents == names, "a file of a topic that no longer exists"
    old = [str(path) for path, text in written.items() if (FOLDER / path).read_bytes() != text]
    assert old == [], "run: make schemas"


def test_export_command_given_a_directory_prints_the_files_it_wrote(tmp_path: Path) -> None:
    target = tmp_path / "not" / "there"
    command = [sys.executable, "-m", "schemas.export", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = {Path(line) for line in done.stdout.splitlines()}
    assert printed == {path for path in target.rglob("*") if path.is_file()}
    assert len(printed) == len(TOPICS) + 2


def test_export_command_with_help_describes_itself() -> None:
    command = [sys.executable, "-m", "schemas.export", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "one file per topic" in done.stdout


def test_document_every_reference_resolves() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > len(TOPICS)
    for reference in found:
        assert resolved(reference)


def test_document_has_what_asyncapi_3_requires() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= server.keys()
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send"
        assert resolved(operation["channel"]["$ref"])["address"] in DOCUMENT["channels"]


@each_topic
def test_document_channel_of_a_topic_has_its_messages_and_policy(topic: Topic) -> None:
    channel = DOCUMENT["channels"][topic.name]
    assert channel["address"] == topic.name
    assert list(channel["messages"]) == [message.__name__ for message in topic.messages]
    kafka = channel["bindings"]["kafka"]
    policy = kafka["topicConfiguration"]
    assert policy.pop("cleanup.policy") == [topic.config["cleanup.policy"]]
    documented = {name: str(value) for name, value in policy.items()}
    assert documented == {k: v for k, v in topic.config.items() if k != "cleanup.policy"}
    assert kafka.get("partitions") == (None if topic.by_symbol else 1)


@each_topic
def test_document_examples_of_a_message_are_valid_by_its_payload(topic: Topic) -> None:
    for reference in DOCUMENT["channels"][topic.name]["messages"].values():
        message = resolved(reference["$ref"])
        schema = {"$schema": DRAFT_07, **message["payload"], "components": DOCUMENT["components"]}
        validator = jsonschema_rs.validator_for(schema)
        assert message["examples"]
        for example in message["examples"]:
            validator.validate(example["payload"])
            assert not validator.is_valid({"type": "unknown"})


def test_document_array_with_a_wrong_element_is_invalid() -> None:
    level = {"$schema": DRAFT_07, **DOCUMENT["components"]["schemas"]["Level"]}
    validator = jsonschema_rs.validator_for(level)
    assert validator.is_valid([3712, 100, 1])
    assert validator.is_valid([3712, 100, 1, "added later"])
    assert not validator.is_valid([3712, 100])
    assert not validator.is_valid([3712, "100", 1])


def test_document_schemas_use_only_keywords_of_draft_7() -> None:
    schemas = json.dumps(DOCUMENT["components"]["schemas"])
    for word in ("prefixItems", "discriminator", "$defs"):
        assert f'"{word}"' not in schemas


def test_description_of_several_lines_is_joined_to_one() -> None:
    made = tidied({"description": "One.\n\n    Two.", "properties": {"description": {"a": "\n"}}})
    assert made == {"description": "One. Two.", "properties": {"description": {"a": "\n"}}}
    assert json.dumps(tidied([{"prefixItems": [1]}])) == '[{"prefixItems": [1]}]'
