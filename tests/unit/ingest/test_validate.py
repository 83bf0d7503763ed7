"""`POST /orders/validate`: the checks of `POST /orders`, and nothing written."""

import pytest

from schemas.codec import encode
from schemas.instruments import InstrumentRules
from schemas.listings import Listing
from schemas.market_controls import MarketState
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
                "phase": None,
                "warnings": [],
                "valid": True,
            }
            partition = 1 - partition
            listing = encode(Listing("A", partition, 1))
            harness.partition_map.apply(b"A", listing)
        assert harness.sender.sent == []

    run_scenario(scenario)


RULES = InstrumentRules(tick_size=2, quantity_max=9, price_max=8)
WARNED = {
    "no_instrument": (MarketState("continuous"), b"", None),
    "day": (MarketState("continuous"), b',"time_in_force":"day"', "needs_instrument"),
    "open": (MarketState("continuous", InstrumentRules(), 5), b"", None),
    "halted": (MarketState("halted", RULES, 5), b"", "market_halted"),
    "closed": (MarketState("closed", InstrumentRules(), 5), b"", "market_closed"),
    "off_tick": (MarketState("continuous", RULES, 5), b"", "off_tick"),
}


@pytest.mark.parametrize("name", WARNED)
def test_valid_order_shows_the_phase_and_what_the_matcher_would_refuse(name: str) -> None:
    async def scenario() -> None:
        market, condition, code = WARNED[name]
        harness = IngestHarness(FakeSender())
        harness.markets["A"] = market
        response = await harness.post("/orders/validate", ORDER[:-1] + condition + b"}")
        assert (response.status, response.body["phase"]) == (200, market.phase)
        assert [warning["code"] for warning in response.body["warnings"]] == [code] * bool(code)
        assert harness.sender.sent == []

    run_scenario(scenario)


def test_warning_names_the_field_that_breaks_a_rule() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.markets["A"] = MarketState("continuous", InstrumentRules(tick_size=2), 5)
        (warning,) = (await harness.post("/orders/validate", ORDER)).body["warnings"]
        text = "price is no multiple of the symbol's tick_size, or the stop price is not"
        assert warning == {"code": "off_tick", "detail": text}

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
