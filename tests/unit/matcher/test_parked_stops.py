"""Parked stops of one side: which are reached, in which order, and what their heap holds."""

import random

import pytest

from schemas.commands import EnterOrder
from schemas.units import Side
from services.matcher.stops import PLACES_SLACK, ParkedStops, StopOrder
from tests.support.orders import SYMBOL, order_id


def stop(number: int, stop_price: int, side: Side = "bid") -> StopOrder:
    command = EnterOrder(
        order_id(number), "ann", "1", SYMBOL, side, "market", 10, stop_price=stop_price
    )
    return StopOrder.parked(command, number, number)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_trade_reaches_the_stops_at_its_price_or_beyond_nearest_first(side: Side) -> None:
    parked, rng, present = ParkedStops(side), random.Random(5), list[StopOrder]()
    sign = 1 if side == "bid" else -1
    for number in range(3_000):
        action = rng.random()
        if action < 0.6 or not present:
            present.append(stop(number, rng.randint(1, 60), side))
            parked.add(present[-1])
        elif action < 0.8:
            parked.remove(present.pop(rng.randrange(len(present))))
        elif action < 0.9:
            # An amended stop that keeps its place.
            at = rng.randrange(len(present))
            former = present[at]
            parked.remove(former)
            present[at] = StopOrder.parked(former.command, former.accepted_at, former.place)
            parked.add(present[at])
        else:
            price = rng.randint(1, 60)
            expected = [each for each in present if sign * each.stop_price <= sign * price]
            expected.sort(key=lambda each: (sign * each.stop_price, each.place))
            assert list(parked.reached(price)) == expected
            assert all(each.trigger_price == price for each in expected)
            present = [each for each in present if each not in expected]
        assert len(parked) == len(present)
        if present:
            assert parked.first_key == min(sign * each.stop_price for each in present)


def test_places_of_stops_that_are_gone_are_dropped_from_the_heap() -> None:
    parked = ParkedStops("bid")
    parked.add(stop(0, 1))
    for number in range(1, 20 * PLACES_SLACK):
        far = stop(number, 1_000 + number)
        parked.add(far)
        parked.remove(far)
    assert len(parked._places) <= 2 * len(parked) + PLACES_SLACK + 1
    last = stop(5_000, 900)
    parked.add(last)
    assert [order.stop_price for order in parked.reached(950)] == [1, 900]
    assert list(parked.reached(5_000)) == []
