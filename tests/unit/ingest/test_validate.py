"""`POST /orders/validate`: the checks of `POST /orders`, and nothing written."""

import pytest

from schemas.codec import encode
from schemas.listings import Listing
from schemas.partitions import default_partition
from tests.support.ingest_context import ORDER, FakeSender, IngestHarness, run_scenario

INVALID = [
    b"{",
    b"[]",
    b"{}",
    ORDER.replace(b'"A"', b'"a"'),
    ORDER.replace(b"}", b',"order_type":"market"}'),
    ORDER.replace(b"{", b'{"colour":"red",', 1),
    ORDER.replace(b"{", b'{"symbol":"A",', 1),
]


def test_valid_order_is_answered_with_its_partition_and_not_written() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        partition = default_partition("A", 2)
        for listed in (False, True):
            response = await harness.post("/orders/validate", ORDER)
            assert response.status == 200
            assert response.body == {
                "symbol": "A",
                "partition": partition,
                "listed": listed,
                "valid": True,
            }
            partition = 1 - partition
            listing = encode(Listing("A", partition, 1))
            harness.partition_map.apply(b"A", listing)
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize("body", INVALID)
def test_faulty_order_is_refused_as_by_post_orders(body: bytes) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        placed = await harness.post("/orders", body)
        validated = await harness.post("/orders/validate", body)
        assert placed.status in (400, 422)
        assert validated.status == placed.status
        assert {**validated.body, "request_id": ""} == {**placed.body, "request_id": ""}
        assert harness.sender.sent == []

    run_scenario(scenario)
