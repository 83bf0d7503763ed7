"""Symbols placed by share; what is listed or traded stays where it is."""

import pytest

from schemas.listings import Listing
from services.admin.listing_plan import listings_for, refuse_moves
from services.runtime.errors import RefusedError


def test_listings_of_an_empty_exchange_are_spread_by_share() -> None:
    assert listings_for({"A": 50, "B": 30, "C": 20}, {}, 2) == [
        Listing("A", 0, 50),
        Listing("B", 1, 30),
        Listing("C", 1, 20),
    ]


def test_listings_that_exist_stay_and_weigh_on_their_partition() -> None:
    listed = {"A": Listing("A", 1, 50)}
    assert listings_for({"A": 50, "B": 30, "C": 10}, listed, 2) == [
        Listing("B", 0, 30),
        Listing("C", 0, 10),
    ]


def test_listings_whose_share_changed_are_told_anew_in_place() -> None:
    assert listings_for({"A": 9}, {"A": Listing("A", 1, 50)}, 2) == [Listing("A", 1, 9)]


def test_symbol_with_commands_elsewhere_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"A \(has commands on partition 1\)"):
        refuse_moves([Listing("A", 0, 1)], {"A": frozenset({1})}, {})


def test_symbol_with_commands_where_it_goes_is_welcome() -> None:
    listed = {"B": Listing("B", 0, 1)}
    wanted = [Listing("A", 0, 1), Listing("B", 0, 2)]
    refuse_moves(wanted, {"A": frozenset({0}), "B": frozenset({0})}, listed)
