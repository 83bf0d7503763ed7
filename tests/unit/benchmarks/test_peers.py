"""Comparison with other engines: the flow they can process, and detection of different fills."""

import re

import pytest
from msgspec import structs

from benchmarks.micro.peer_worker import ADAPTERS, answer
from benchmarks.micro.peers import REQUIREMENTS, PeerFill, PeerFlow, difference, flow_of
from schemas.commands import CancelOrder, PlaceOrder
from schemas.executions import CommandRefused, OrderAccepted
from services.matcher.book import Order, PriceLevel
from services.matcher.engine import Engine
from services.matcher.rules import Rules
from tests.support.patching import patched


@pytest.fixture(scope="module")
def flow() -> PeerFlow:
    return flow_of(2_000)


def fills_of(engine: Engine, flow: PeerFlow) -> list[PeerFill]:
    events = [(at.offset, engine.apply(command, at).event) for command, at in flow.placed]
    return [
        PeerFill(number, fill.price, fill.quantity)
        for number, event in events
        if isinstance(event, OrderAccepted)
        for fill in event.fills
    ]


def test_flow_has_only_commands_that_every_engine_supports(flow: PeerFlow) -> None:
    commands = [command for command, _ in flow.placed]
    orders = [command for command in commands if isinstance(command, PlaceOrder)]
    assert len(commands) > 1_700
    assert sum(isinstance(command, CancelOrder) for command in commands) > 100
    assert sum(order.order_type == "market" for order in orders) > 50
    assert {(o.client_order_id, o.valid_until) for o in orders} == {(None, None)}
    assert len(flow.fills) > 300
    engine = Engine(0)
    events = [engine.apply(command, at).event for command, at in flow.placed]
    assert not any(isinstance(event, CommandRefused) for event in events)


def test_entries_match_the_commands_and_cancels_refer_to_their_order(flow: PeerFlow) -> None:
    assert len(flow.entries) == len(flow.placed)
    for (command, _), entry in zip(flow.placed, flow.entries, strict=True):
        if isinstance(command, PlaceOrder):
            bid = command.side == "bid"
            assert entry == [command.symbol, bid, command.price, command.quantity]
        else:
            assert isinstance(command, CancelOrder)
            symbol, number = entry
            assert isinstance(number, int)
            meant, _ = flow.placed[number]
            assert isinstance(meant, PlaceOrder)
            assert (meant.order_id, meant.symbol) == (command.order_id, symbol)


def test_own_engine_makes_the_fills_that_peers_are_compared_with(
    flow: PeerFlow,
) -> None:
    assert difference(flow.fills, fills_of(Engine(0), flow)) == ""


def test_engine_that_stops_after_one_fill_is_detected(flow: PeerFlow) -> None:
    assert difference(flow.fills, fills_of(Engine(0, Rules(fills_max=1)), flow)).startswith("fill ")


def newest(level: PriceLevel) -> Order:
    return level.open_orders()[-1]


def test_engine_without_time_priority_is_detected(flow: PeerFlow) -> None:
    with patched([(PriceLevel, "oldest", newest)]):
        assert difference(flow.fills, fills_of(Engine(0), flow)).startswith("fill ")


def test_other_engines_are_pinned_by_hash_without_a_package_index() -> None:
    pinned = REQUIREMENTS.read_text()
    required = REQUIREMENTS.with_suffix(".in").read_text().split()
    assert [line.split("==")[0].split("[")[0] for line in required] == list(ADAPTERS)
    for line in required:
        name, version = line.split("==")
        assert f"\n{name.split('[')[0]}=={version} \\\n    --hash=sha256:" in pinned
    assert not re.search(r"^--|://", pinned, re.MULTILINE)


OWN_FILLS = [PeerFill(1, 100, 5), PeerFill(2, 101, 7)]


@pytest.mark.parametrize(
    "other_fills",
    [
        [],
        OWN_FILLS[:1],
        [*OWN_FILLS, PeerFill(3, 101, 1)],
        OWN_FILLS[::-1],
        [structs.replace(OWN_FILLS[0], number=2), OWN_FILLS[1]],
        [structs.replace(OWN_FILLS[0], price=99), OWN_FILLS[1]],
        [OWN_FILLS[0], structs.replace(OWN_FILLS[1], quantity=8)],
    ],
)
def test_difference_in_count_order_command_price_or_quantity_is_reported(
    other_fills: list[PeerFill],
) -> None:
    assert difference(OWN_FILLS, other_fills)


def test_equal_fills_as_floats_are_equal() -> None:
    assert difference(OWN_FILLS, [PeerFill(1, 100.0, 5.0), PeerFill(2, 101.0, 7.0)]) == ""


@pytest.mark.parametrize("name", ["bourse", "no such engine"])
def test_worker_with_an_unavailable_engine_answers_with_an_error(name: str) -> None:
    # The engines are not installed in the test environment.
    assert set(answer(name, [["A", True, 1, 1]])) == {"error"}
