"""Golden bytes of every message: every later version must read and write the same bytes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema_rs
import pytest
from msgspec import Struct

from schemas import codec
from schemas.executions import Event, OrderAccepted, Outcomes, RefusalCode, StopElected
from schemas.export import topic_schema
from schemas.topics import (
    BOOK,
    BROKERS,
    COMMANDS,
    EXECUTIONS,
    LISTINGS,
    SNAPSHOTS,
    TOPICS,
    TRADES,
    Topic,
)
from schemas.units import ClosedReason

EXAMPLES: Final = sorted(Path(codec.__file__).with_name("examples").glob("*.json"))
DECODERS: Final[dict[str, Callable[[bytes], Struct]]] = {
    COMMANDS.name: codec.decode_command,
    EXECUTIONS.name: codec.decode_execution,
    TRADES.name: codec.decode_trade,
    BOOK.name: codec.decode_book_update,
    BROKERS.name: codec.decode_broker_record,
    LISTINGS.name: codec.decode_listing,
    SNAPSHOTS.name: codec.decode_snapshot,
}

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def topic_of(path: Path) -> Topic:
    """Topic whose name is the beginning of the file's name."""
    (topic,) = (topic for topic in TOPICS if path.name.startswith(topic.name + "."))
    return topic


def decoded(path: Path) -> Struct:
    return DECODERS[topic_of(path).name](path.read_bytes())


def with_unknown_fields(value: Any) -> Any:
    """Copy of a document with an unknown field in every object."""
    if isinstance(value, dict):
        known = {name: with_unknown_fields(inner) for name, inner in value.items()}
        return {"a_later_field": {"a": [1.5, None]}, **known}
    if isinstance(value, list):
        return [with_unknown_fields(inner) for inner in value]
    return value


@each_example
def test_example_decoded_and_encoded_gives_the_same_bytes(path: Path) -> None:
    assert codec.encode(decoded(path)) == path.read_bytes()


@each_example
def test_example_with_unknown_fields_reads_the_same(path: Path) -> None:
    later = json.dumps(with_unknown_fields(json.loads(path.read_bytes()))).encode()
    assert later != path.read_bytes()
    assert DECODERS[topic_of(path).name](later) == decoded(path)


@each_example
def test_example_is_valid_by_the_exported_schema(path: Path) -> None:
    validator = jsonschema_rs.validator_for(topic_schema(topic_of(path)))
    validator.validate(json.loads(path.read_bytes()))


@each_topic
def test_topic_has_an_example_of_each_message(topic: Topic) -> None:
    shown = {type(decoded(path)) for path in EXAMPLES if topic_of(path) == topic}
    assert shown == set(topic.messages)


def test_examples_of_outcomes_contain_every_kind_of_event() -> None:
    records = [decoded(path) for path in EXAMPLES if topic_of(path) == EXECUTIONS]
    outcomes = [
        one for record in records if isinstance(record, Outcomes) for one in record.outcomes
    ]
    events = [outcome.event for outcome in outcomes]
    assert {type(event) for event in events} == set(get_args(Event))
    closed = {event.closed_reason for event in events if isinstance(event, OrderAccepted)}
    assert closed == {None, *get_args(ClosedReason)}
    refused = {getattr(event, "code", None) for event in events}
    assert refused == {None, *get_args(RefusalCode)}
    assert any(outcome.expired for outcome in outcomes)
    effects = [one for outcome in outcomes for one in (*outcome.before, *outcome.after)]
    assert any(isinstance(effect, StopElected) for effect in effects)


@each_topic
def test_exported_schema_refuses_other_documents(topic: Topic) -> None:
    validator = jsonschema_rs.validator_for(topic_schema(topic))
    others: list[Any] = [{}, [], {"type": "unknown"}, None]
    for other in others:
        assert not validator.is_valid(other)


def test_exported_schema_refuses_values_out_of_bounds() -> None:
    validator = jsonschema_rs.validator_for(topic_schema(COMMANDS))
    (path,) = (path for path in EXAMPLES if path.name.endswith("place_order.limit.json"))
    order = json.loads(path.read_bytes())
    assert validator.is_valid(order)
    for change in ({"price": 0}, {"quantity": 1.5}, {"symbol": "petr4"}, {"symbol": "PETR4\n"}):
        assert not validator.is_valid(order | change), change


@each_topic
def test_exported_schema_is_valid_by_its_own_dialect(topic: Topic) -> None:
    jsonschema_rs.meta.validate(topic_schema(topic))
