"""Symbol to partition: listings over murmur2; and a new broker's record."""

import base64

import pytest

from schemas.brokers import key_hash
from schemas.codec import UnreadableError, encode
from schemas.listings import Listing
from schemas.partitions import default_partition
from schemas.rest import RegisterRequest
from services.ingest.keys import KEY_BYTES
from services.ingest.registration import ID_BYTES, new_broker
from services.ingest.routes import PartitionMap


def listing(symbol: str, partition: int) -> tuple[bytes, bytes]:
    return symbol.encode(), encode(Listing(symbol, partition, 1))


def test_unlisted_symbol_goes_where_kafka_would_put_it() -> None:
    routes = PartitionMap(7)
    for symbol in ("PETR4", "A", "VALE3", "X.Y-Z_9"):
        assert routes.partition(symbol) == default_partition(symbol, 7)


def test_listed_symbol_goes_where_it_is_listed_until_it_is_not() -> None:
    routes = PartitionMap(4)
    elsewhere = (default_partition("PETR4", 4) + 1) % 4
    routes.apply(*listing("PETR4", elsewhere))
    assert routes.partition("PETR4") == elsewhere
    routes.apply(b"PETR4", None)
    assert routes.partition("PETR4") == default_partition("PETR4", 4)
    routes.apply(None, None)


def test_listing_on_a_partition_there_is_not_is_refused() -> None:
    routes = PartitionMap(2)
    with pytest.raises(ValueError, match="there are 2"):
        routes.apply(*listing("PETR4", 2))
    with pytest.raises(UnreadableError):
        routes.apply(b"PETR4", b"{}")
    assert routes.partition("PETR4") == default_partition("PETR4", 2)


def test_new_broker_keeps_the_hash_of_the_key_only() -> None:
    randomness = bytes(range(ID_BYTES + KEY_BYTES))
    request = RegisterRequest("Alfa", "http://a/")
    broker, key = new_broker(request, randomness, now_ms=5)
    assert key.startswith("ex_")
    assert base64.urlsafe_b64decode(key[3:] + "=") == randomness[ID_BYTES:]
    assert broker.api_key_hash == key_hash(key)
    assert key.encode() not in encode(broker)
    assert (broker.name, broker.webhook_url, broker.created_at) == ("Alfa", "http://a/", 5)
    assert broker.broker_id == "00010203-0405-4607-8809-0a0b0c0d0e0f"
