"""Partition of a symbol: listings take precedence over murmur2. Also the record of a new broker."""

import base64

import pytest

from schemas.brokers import key_hash
from schemas.codec import UnreadableError, decode_broker, encode
from schemas.listings import Listing
from schemas.partitions import default_partition
from schemas.rest import RegisterRequest
from services.api.partition_map import PartitionMap
from services.ingest.registration import RANDOM_BYTES, SECRET_BYTES, new_broker


def listing(symbol: str, partition: int) -> tuple[bytes, bytes]:
    return symbol.encode(), encode(Listing(symbol, partition, 1))


def test_unlisted_symbol_has_the_partition_of_kafkas_hash() -> None:
    partition_map = PartitionMap(7)
    for symbol in ("PETR4", "A", "VALE3", "X.Y-Z_9"):
        assert partition_map.partition(symbol) == default_partition(symbol, 7)


def test_listed_symbol_has_the_partition_of_its_listing_until_removed() -> None:
    partition_map = PartitionMap(4)
    elsewhere = (default_partition("PETR4", 4) + 1) % 4
    partition_map.apply(*listing("PETR4", elsewhere))
    assert partition_map.partition("PETR4") == elsewhere
    partition_map.apply(b"PETR4", None)
    assert partition_map.partition("PETR4") == default_partition("PETR4", 4)
    partition_map.apply(None, None)


def test_listing_on_a_missing_partition_is_refused() -> None:
    partition_map = PartitionMap(2)
    with pytest.raises(ValueError, match="there are 2"):
        partition_map.apply(*listing("PETR4", 2))
    with pytest.raises(UnreadableError):
        partition_map.apply(b"PETR4", b"{}")
    assert partition_map.partition("PETR4") == default_partition("PETR4", 2)


def test_new_broker_record_contains_only_the_hash_of_the_key() -> None:
    randomness = bytes(range(RANDOM_BYTES))
    request = RegisterRequest("Alfa", "http://a/")
    broker, key = new_broker(request, randomness, now_ms=5)
    assert key.startswith("ex_")
    assert base64.urlsafe_b64decode(key[3:] + "=") == randomness[16:48]
    assert broker.api_key_hash == key_hash(key)
    assert key.encode() not in encode(broker)
    assert (broker.name, broker.webhook_url, broker.created_at) == ("Alfa", "http://a/", 5)
    assert broker.broker_id == "00010203-0405-4607-8809-0a0b0c0d0e0f"


def test_new_broker_with_a_url_has_a_secret_hidden_from_repr() -> None:
    broker, _ = new_broker(RegisterRequest("Alfa", "http://a/"), bytes(RANDOM_BYTES), now_ms=5)
    (known,) = broker.webhook_secrets
    assert base64.b64decode(known.secret.removeprefix("whsec_")) == bytes(SECRET_BYTES)
    assert decode_broker(encode(broker)) == broker
    assert known.secret not in repr(broker)
    without, _ = new_broker(RegisterRequest("Beta"), bytes(RANDOM_BYTES), now_ms=5)
    assert without.webhook_secrets == ()
