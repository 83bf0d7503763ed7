"""Admission of orders with self-trade prevention."""

import pytest

from services.ingest.admission import admit
from tests.unit.ingest.test_admission import NOW_MS, order, pointers, refused


@pytest.mark.parametrize("value", ["", "CANCEL_TAKER", "decrement", None, True, 0, 1, ["none"], {}])
def test_unknown_self_trade_prevention_is_refused(value: object) -> None:
    assert pointers(refused(order(self_trade_prevention=value))) == ["/self_trade_prevention"]


def test_self_trade_prevention_given_twice_is_refused() -> None:
    twice = order(self_trade_prevention="none")[:-1] + b',"self_trade_prevention":"cancel_both"}'
    assert pointers(refused(twice)) == ["/self_trade_prevention"]


@pytest.mark.parametrize("mode", ["none", "cancel_taker", "cancel_maker", "cancel_both"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"valid_until": "2036-01-01T00:00:00Z"},
        {"time_in_force": "ioc", "minimum_quantity": 1},
        {"time_in_force": "fok"},
        {"post_only": True},
        {"order_type": "market", "price": None},
        {"order_type": "stop", "price": None, "stop_price": 9},
        {"order_type": "stop_limit", "side": "bid", "price": 9, "stop_price": 9},
    ],
)
def test_self_trade_prevention_goes_with_every_order_type(
    fields: dict[str, object], mode: str
) -> None:
    assert admit(order(**fields, self_trade_prevention=mode), NOW_MS).self_trade_prevention == mode
