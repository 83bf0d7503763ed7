"""The golden bytes of every message: what is written today must be read, and written, for ever."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema_rs
import pytest
from msgspec import Struct

from schemas import codec
from schemas.executions import Event, OrderAccepted, Outcomes, RefusalCode
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
    BROKERS.name: codec.decode_broker,
    LISTINGS.name: codec.decode_listing,
    SNAPSHOTS.name: codec.decode_snapshot,
}

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def topic_of(path: Path) -> Topic:
    """The topic whose name the file's name begins with."""
    (topic,) = (topic for topic in TOPICS if path.name.startswith(topic.name + "."))
    return topic


def decoded(path: Path) -> Struct:
    return DECODERS[topic_of(path).name](path.read_bytes())


def with_strangers(value: Any) -> Any:
    """The same document with a field in every object that no version knows yet."""
    if isinstance(value, dict):
        known = {name: with_strangers(inner) for name, inner in value.items()}
        return {"a_later_field": {"a": [1.5, None]}, **known}
    if isinstance(value, list):
        return [with_strangers(inner) for inner in value]
    return value


@each_example
def test_example_decoded_and_encoded_gives_the_same_bytes(path: Path) -> None:
    assert codec.encode(decoded(path)) == path.read_bytes()


@each_example
def test_example_with_unknown_fields_reads_the_same(path: Path) -> None:
    later = json.dumps(with_strangers(json.loads(path.read_bytes()))).encode()
    assert later != path.read_bytes()
    assert DECODERS[topic_of(path).name](later) == decoded(path)


@each_example
def test_example_against_exported_schema_is_valid(path: Path) -> None:
    validator = jsonschema_rs.validator_for(topic_schema(topic_of(path)))
    validator.validate(json.loads(path.read_bytes()))


@each_topic
def test_topic_any_message_of_it_has_an_example(topic: Topic) -> None:
    shown = {type(decoded(path)) for path in EXAMPLES if topic_of(path) == topic}
    assert shown == set(topic.messages)


def test_examples_of_outcomes_show_every_kind_of_event() -> None:
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


@each_topic
def test_exported_schema_given_another_document_refuses_it(topic: Topic) -> None:
    validator = jsonschema_rs.validator_for(topic_schema(topic))
    strangers: list[Any] = [{}, [], {"type": "stranger"}, None]
    for stranger in strangers:
        assert not validator.is_valid(stranger)


def test_exported_schema_given_values_out_of_bounds_refuses_them() -> None:
    validator = jsonschema_rs.validator_for(topic_schema(COMMANDS))
    (path,) = (path for path in EXAMPLES if path.name.endswith("place_order.limit.json"))
    order = json.loads(path.read_bytes())
    assert validator.is_valid(order)
    for change in ({"price": 0}, {"quantity": 1.5}, {"symbol": "petr4"}, {"symbol": "PETR4\n"}):
        assert not validator.is_valid(order | change), change


@each_topic
def test_exported_schema_by_its_own_dialect_is_a_schema(topic: Topic) -> None:
    jsonschema_rs.meta.validate(topic_schema(topic))
