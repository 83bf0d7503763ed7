"""The operator's calls for one symbol, and orders that its rules refuse."""

import asyncio
from typing import Any

import pytest

from schemas.commands import SetInstrument
from schemas.executions import CHANGES_LEVEL, CommandRefused, InstrumentSet, RefusalCode
from schemas.instruments import InstrumentRules
from tests.support.asgi_driver import AsgiResponse
from tests.support.ingest_context import (
    ORDER,
    FakeSender,
    IngestHarness,
    call_as_admin,
    run_scenario,
    sent_command,
)

CALL = "PUT /admin/stocks/A"
BODY = b'{"reference_price":50,"tick_size":5}'


async def put(harness: IngestHarness, body: bytes = BODY) -> AsgiResponse:
    """Send the call with the admin's key; return the response."""
    return await call_as_admin(harness, CALL, body)


async def sent(harness: IngestHarness) -> SetInstrument:
    """The command, once it was sent."""
    return await sent_command(harness, SetInstrument)


def test_instrument_is_written_and_answered_with_its_present_state() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(put(harness))
        command = await sent(harness)
        rules = InstrumentRules(tick_size=5)
        assert (command.symbol, command.rules, command.reference_price) == ("A", rules, 50)
        assert harness.sender.sent[0][2] == b"A"
        other = InstrumentSet("A", "f" * 16, rules, 60, "continuous", 0, 0)
        harness.publish(other)
        await asyncio.sleep(0)
        assert not pending.done()
        harness.publish(InstrumentSet("A", command.request, rules, 55, "continuous", 0, 0))
        response = await pending
        assert response.status == 200
        assert response.body["instrument"]["reference_price"] == 55
        assert len(harness.waiters) == 0

    run_scenario(scenario)


def test_instrument_without_an_outcome_in_time_is_202() -> None:
    async def scenario() -> None:
        response = await put(IngestHarness(FakeSender(), wait_ms=1))
        assert (response.status, response.body) == (202, {"symbol": "A", "status": "pending"})

    run_scenario(scenario)


def test_first_instrument_without_a_reference_price_is_422() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(put(harness, b"{}"))
        command = await sent(harness)
        harness.publish(CommandRefused("needs_reference_price", request=command.request))
        response = await pending
        assert (response.status, response.body["code"]) == (422, "invalid")
        assert response.body["errors"][0]["pointer"] == "/reference_price"

    run_scenario(scenario)


def test_instrument_for_an_older_matcher_is_503_and_not_written() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.rules_level = CHANGES_LEVEL - 1
        response = await put(harness)
        assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"[]", [""]),
        (b'{"tick_size":0,"lot_size":"1"}', ["/tick_size", "/lot_size"]),
        (b'{"price_min":5,"price_max":4}', ["/price_min"]),
        (b'{"reference_price":7,"tick_size":5,"price_max":6}', ["/reference_price"] * 2),
        (b'{"tick_size":5,"tick_size":5}', ["/tick_size"]),
        (b'{"value_max":1000000000000000001}', ["/value_max"]),
        (b'{"band_ppm":0}', ["/band_ppm"]),
        (b'{"band_ppm":1000001}', ["/band_ppm"]),
        (b'{"band_ppm":true,"band_action":"auction"}', ["/band_ppm", "/band_action"]),
    ],
)
def test_faulty_instrument_is_422_and_not_written(body: bytes, pointers: list[str]) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        response = await put(harness, body)
        assert response.status == 422
        assert [fault["pointer"] for fault in response.body["errors"]] == pointers
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("off_tick", (422, "invalid", "/price")),
        ("off_lot", (422, "invalid", "/quantity")),
        ("over_max_quantity", (422, "invalid", "/quantity")),
        ("over_max_value", (422, "invalid", "/quantity")),
        ("outside_price_band", (409, "outside_price_band", None)),
    ],
)
def test_order_refused_by_its_symbols_rules_names_the_rule(
    code: RefusalCode, answer: tuple[Any, ...]
) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(CommandRefused(code, command.order_id, command.broker_id))
        response = await pending
        status, problem, pointer = answer
        assert (response.status, response.body["code"]) == (status, problem)
        if pointer is not None:
            (fault,) = response.body["errors"]
            assert (fault["pointer"], fault["code"]) == (pointer, code)

    run_scenario(scenario)
