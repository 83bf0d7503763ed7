"""Placement of symbols on partitions by share; listed or traded symbols keep their partition."""

import pytest

from schemas.listings import Listing
from services.admin.listing_plan import listings_for, refuse_moves
from services.runtime.errors import RefusedError


def test_listings_on_an_empty_exchange_are_spread_by_share() -> None:
    assert listings_for({"A": 50, "B": 30, "C": 20}, {}, 2) == [
        Listing("A", 0, 50),
        Listing("B", 1, 30),
        Listing("C", 1, 20),
    ]


def test_existing_listings_keep_their_partition_and_count_towards_its_load() -> None:
    listed = {"A": Listing("A", 1, 50)}
    assert listings_for({"A": 50, "B": 30, "C": 10}, listed, 2) == [
        Listing("B", 0, 30),
        Listing("C", 0, 10),
    ]


def test_listings_with_a_changed_share_are_published_again_on_their_partition() -> None:
    assert listings_for({"A": 9}, {"A": Listing("A", 1, 50)}, 2) == [Listing("A", 1, 9)]


def test_symbol_with_commands_on_another_partition_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"A \(has commands on partition 1\)"):
        refuse_moves([Listing("A", 0, 1)], {"A": frozenset({1})}, {})


def test_symbol_with_commands_on_its_new_partition_is_accepted() -> None:
    listed = {"B": Listing("B", 0, 1)}
    wanted = [Listing("A", 0, 1), Listing("B", 0, 2)]
    refuse_moves(wanted, {"A": frozenset({0}), "B": frozenset({0})}, listed)
