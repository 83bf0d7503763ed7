"""POST /admin/stocks/{symbol}/phase, and orders that a phase refuses."""

import asyncio

import pytest

from schemas.commands import SetPhase
from schemas.executions import CONTROLS_LEVEL, CommandRefused, PhaseSet, RefusalCode
from tests.support.asgi_driver import AsgiResponse
from tests.support.ingest_context import (
    ORDER,
    FakeSender,
    IngestHarness,
    call_as_admin,
    run_scenario,
    sent_command,
)

CALL = "POST /admin/stocks/A/phase"
BODY = b'{"phase":"halted","expected":"continuous"}'


async def post(harness: IngestHarness, body: bytes = BODY) -> AsgiResponse:
    """Send the call with the admin's key; return the response."""
    return await call_as_admin(harness, CALL, body)


async def sent(harness: IngestHarness) -> SetPhase:
    """The command, once it was sent."""
    return await sent_command(harness, SetPhase)


def test_phase_is_written_and_answered_with_its_change() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(post(harness))
        command = await sent(harness)
        assert (command.symbol, command.phase, command.expected) == ("A", "halted", "continuous")
        harness.publish(PhaseSet("A", "f" * 16, "halted", "closed", 7))
        await asyncio.sleep(0)
        assert not pending.done()
        harness.publish(PhaseSet("A", command.request, "continuous", "halted", 8))
        response = await pending
        wanted = {"symbol": "A", "phase": "halted", "previous": "continuous"}
        assert (response.status, response.body) == (200, wanted)

    run_scenario(scenario)


def test_phase_without_an_outcome_in_time_is_202() -> None:
    async def scenario() -> None:
        response = await post(IngestHarness(FakeSender(), wait_ms=1))
        assert (response.status, response.body) == (202, {"symbol": "A", "status": "pending"})

    run_scenario(scenario)


@pytest.mark.parametrize("code", ["phase_differs", "needs_instrument"])
def test_refused_phase_is_409(code: RefusalCode) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(post(harness))
        command = await sent(harness)
        harness.publish(CommandRefused(code, request=command.request))
        response = await pending
        assert (response.status, response.body["code"]) == (409, code)

    run_scenario(scenario)


def test_phase_and_day_order_for_an_older_matcher_are_503_and_not_written() -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        harness.rules_level = CONTROLS_LEVEL - 1
        day = await harness.post("/orders", ORDER[:-1] + b',"time_in_force":"day"}')
        for response in (await post(harness), day):
            assert (response.status, response.body["code"]) == (503, "not_accepted")
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"phase":"call"}', "must be one of continuous, halted, closed"),
        (b"{}", "is needed"),
        (b'{"phase":"halted","phase":"closed"}', "is given twice"),
    ],
)
def test_unknown_phase_is_422_and_not_written(body: bytes, detail: str) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        response = await post(harness, body)
        assert (response.status, response.body["code"]) == (422, "invalid")
        assert response.body["errors"] == [{"pointer": "/phase", "detail": detail}]
        assert harness.sender.sent == []

    run_scenario(scenario)


@pytest.mark.parametrize("code", ["market_halted", "market_closed"])
def test_order_that_a_phase_refuses_is_409(code: RefusalCode) -> None:
    async def scenario() -> None:
        harness = IngestHarness(FakeSender())
        pending = asyncio.create_task(harness.post("/orders", ORDER))
        command = await harness.command()
        harness.publish(CommandRefused(code, command.order_id, command.broker_id))
        response = await pending
        assert (response.status, response.body["code"]) == (409, code)

    run_scenario(scenario)
