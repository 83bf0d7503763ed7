"""API keys of a broker: the keys that stay valid after a rotation or a revocation."""

from msgspec import structs

from schemas.brokers import Broker, key_hash
from services.api.brokers import BrokerDirectory
from services.ingest.keys import KEY_BYTES, new_key, revoked, rotated

ID = "33be8111-b9b1-40c1-a6e6-2395694c9eef"
BROKER = Broker(ID, "Alfa", key_hash("first"), 5, "https://a.example/")
NOW_MS = 1_000_000


def valid(broker: Broker, now_ms: int = NOW_MS) -> set[str]:
    directory = BrokerDirectory("the-admin-key")
    directory.add(BROKER)
    directory.add(broker)
    assert directory.name(ID) == "Alfa"
    return {key for key in ("first", "second", "third") if directory.caller(key, now_ms)}


def rotate(broker: Broker, key: str, keep_ms: int = 0) -> Broker:
    return rotated(broker, key, now_ms=NOW_MS, keep_former_ms=keep_ms)


def test_new_keys_differ_and_have_the_expected_length() -> None:
    assert new_key(b"\0" * KEY_BYTES) != new_key(b"\1" * KEY_BYTES)
    assert len(new_key(b"\0" * KEY_BYTES)) == len("ex_") + 43


def test_rotation_ends_the_old_key_at_once_and_changes_nothing_else() -> None:
    changed = rotate(BROKER, "second")
    assert valid(changed) == {"second"}
    assert structs.replace(changed, api_key_hash=BROKER.api_key_hash) == BROKER


def test_rotation_that_keeps_the_old_key_ends_it_after_its_time() -> None:
    changed = rotate(BROKER, "second", keep_ms=60_000)
    assert valid(changed) == valid(changed, NOW_MS + 59_999) == {"first", "second"}
    assert valid(changed, NOW_MS + 60_000) == {"second"}


def test_second_rotation_ends_the_key_that_the_first_kept() -> None:
    twice = rotate(rotate(BROKER, "second", keep_ms=60_000), "third", keep_ms=60_000)
    assert valid(twice) == {"second", "third"}
    assert valid(rotate(rotate(BROKER, "second", keep_ms=60_000), "third")) == {"third"}


def test_revocation_ends_every_key() -> None:
    assert valid(revoked(BROKER, now_ms=NOW_MS)) == set()
    kept = rotate(BROKER, "second", keep_ms=60_000)
    assert valid(revoked(kept, now_ms=NOW_MS)) == set()
    assert revoked(kept, now_ms=NOW_MS).revoked_at == NOW_MS


def test_second_revocation_changes_nothing() -> None:
    once = revoked(BROKER, now_ms=NOW_MS)
    assert revoked(once, now_ms=NOW_MS + 1) is once


def test_rotation_after_a_revocation_admits_the_new_key_only() -> None:
    once = revoked(BROKER, now_ms=NOW_MS)
    assert valid(rotate(once, "second", keep_ms=60_000)) == {"second"}
