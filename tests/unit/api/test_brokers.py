"""The broker directory, built from the brokers topic."""

import logging

import pytest
from msgspec import structs

from schemas.brokers import Broker, key_hash
from schemas.codec import encode
from services.api.brokers import ADMIN, BrokerDirectory

ID = "33be8111-b9b1-40c1-a6e6-2395694c9eef"


def broker(key: str, name: str = "Alfa", broker_id: str = ID) -> Broker:
    return Broker(broker_id, name, key_hash(key), 0)


@pytest.fixture
def directory() -> BrokerDirectory:
    return BrokerDirectory("the-admin-key")


def test_key_identifies_its_caller(directory: BrokerDirectory) -> None:
    directory.apply(ID.encode(), encode(broker("a")))
    assert directory.caller("a", 0) == broker("a")
    assert directory.caller("the-admin-key", 0) is ADMIN
    for unknown_key in ("", "b", "the-admin-ke", key_hash("a"), "é\udcff"[:1]):
        assert directory.caller(unknown_key, 0) is None
    assert (directory.name(ID), directory.name("x"), len(directory)) == ("Alfa", None, 1)


def test_newest_record_of_a_broker_replaces_the_older_one(directory: BrokerDirectory) -> None:
    directory.apply(ID.encode(), encode(broker("old")))
    directory.apply(ID.encode(), encode(broker("new", "Beta")))
    assert directory.caller("old", 0) is None
    assert directory.caller("new", 0) == broker("new", "Beta")
    assert (directory.name(ID), len(directory)) == ("Beta", 1)


def test_record_without_a_value_removes_the_broker(directory: BrokerDirectory) -> None:
    directory.add(broker("a"))
    directory.apply(ID.encode(), None)
    directory.apply(None, None)
    assert (directory.caller("a", 0), len(directory)) == (None, 0)


def test_unreadable_record_is_logged_and_skipped(
    directory: BrokerDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    directory.add(broker("a"))
    with caplog.at_level(logging.ERROR):
        directory.apply(ID.encode(), b'{"name": 1}')
    assert [record.getMessage() for record in caplog.records] == ["unreadable broker record"]
    assert directory.caller("a", 0) == broker("a")


def test_directory_without_an_admin_key_has_no_admin() -> None:
    directory = BrokerDirectory(None)
    directory.add(broker("a"))
    assert directory.caller("a", 0) == broker("a")
    for unknown_key in ("", "None", "the-admin-key"):
        assert directory.caller(unknown_key, 0) is None


def test_revoked_broker_keeps_its_name_and_has_no_key(directory: BrokerDirectory) -> None:
    directory.add(structs.replace(broker("a"), revoked_at=1))
    assert (directory.caller("a", 0), directory.name(ID), len(directory)) == (None, "Alfa", 1)


def test_former_key_is_valid_until_its_end_or_the_next_record(
    directory: BrokerDirectory,
) -> None:
    kept = structs.replace(broker("new"), former_key_hash=key_hash("old"), former_key_until=10)
    directory.add(kept)
    assert directory.caller("old", 9) == directory.caller("new", 99) == kept
    assert directory.caller("old", 10) is None
    directory.add(broker("new"))
    assert directory.caller("old", 9) is None
