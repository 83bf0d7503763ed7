"""Equal fills: what the flow leaves out, and that an engine which trades otherwise is found."""

import re

import pytest
from msgspec import structs

from benchmarks.micro.peer_worker import ADAPTERS, answer
from benchmarks.micro.peers import REQUIREMENTS, Fill, Flow, difference, flow_of
from schemas.commands import CancelOrder, PlaceOrder
from schemas.executions import CommandRefused, OrderAccepted
from services.matcher.book import Order, PriceLevel
from services.matcher.engine import Engine, Rules
from tests.support.patching import replaced


@pytest.fixture(scope="module")
def flow() -> Flow:
    return flow_of(2_000)


def fills_of(engine: Engine, flow: Flow) -> list[Fill]:
    events = [(at.offset, engine.apply(command, at).event) for command, at in flow.placed]
    return [
        Fill(number, fill.price, fill.quantity)
        for number, event in events
        if isinstance(event, OrderAccepted)
        for fill in event.fills
    ]


def test_flow_has_what_every_engine_understands_and_nothing_else(flow: Flow) -> None:
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


def test_entries_are_the_commands_and_cancels_name_the_order_they_mean(flow: Flow) -> None:
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


def test_our_engine_on_the_flow_alone_makes_the_fills_that_peers_are_held_against(
    flow: Flow,
) -> None:
    assert difference(flow.fills, fills_of(Engine(0), flow)) == ""


def test_engine_that_gives_up_after_a_fill_is_found(flow: Flow) -> None:
    assert difference(flow.fills, fills_of(Engine(0, Rules(fills_max=1)), flow)).startswith("fill ")


def newest(level: PriceLevel) -> Order:
    return next(reversed(level.orders.values()))


def test_engine_without_time_priority_is_found(flow: Flow) -> None:
    with replaced([(PriceLevel, "oldest", newest)]):
        assert difference(flow.fills, fills_of(Engine(0), flow)).startswith("fill ")


def test_other_engines_are_pinned_by_hash_and_from_no_index_in_particular() -> None:
    pinned = REQUIREMENTS.read_text()
    asked = REQUIREMENTS.with_suffix(".in").read_text().split()
    assert [line.split("==")[0].split("[")[0] for line in asked] == list(ADAPTERS)
    for line in asked:
        name, version = line.split("==")
        assert f"\n{name.split('[')[0]}=={version} \\\n    --hash=sha256:" in pinned
    assert not re.search(r"^--|://", pinned, re.MULTILINE)


OURS = [Fill(1, 100, 5), Fill(2, 101, 7)]


@pytest.mark.parametrize(
    "theirs",
    [
        [],
        OURS[:1],
        [*OURS, Fill(3, 101, 1)],
        OURS[::-1],
        [structs.replace(OURS[0], number=2), OURS[1]],
        [structs.replace(OURS[0], price=99), OURS[1]],
        [OURS[0], structs.replace(OURS[1], quantity=8)],
    ],
)
def test_difference_in_number_order_command_price_or_quantity_is_told(theirs: list[Fill]) -> None:
    assert difference(OURS, theirs)


def test_equal_fills_as_floats_are_equal() -> None:
    assert difference(OURS, [Fill(1, 100.0, 5.0), Fill(2, 101.0, 7.0)]) == ""


@pytest.mark.parametrize("name", ["bourse", "no such engine"])
def test_worker_answers_what_goes_wrong_instead_of_ending(name: str) -> None:
    # The engines are not installed beside the tests.
    assert set(answer(name, [["A", True, 1, 1]])) == {"error"}
