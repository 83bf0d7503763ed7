"""A client's order book: proven by checksums, with a request for a snapshot where it is not."""

import random
from typing import Any

import pytest

from exchange_client.book_state import BookState, checksum
from exchange_client.events import Level

BIDS = [[3820, 1500, 4], [3815, 700, 2]]
ASKS = [[3825, 300, 1], [3830, 4200, 9]]


def snapshot(sequence: int = 64, **more: Any) -> dict[str, Any]:
    message = {"sequence": sequence, "time": 1, "bids": BIDS, "asks": ASKS, "checksum": 1999486424}
    return message | more


def update(previous: int, sequence: int, **more: Any) -> dict[str, Any]:
    return {"previous": previous, "sequence": sequence, "time": 2} | more


@pytest.fixture
def book() -> BookState:
    state = BookState("PETR4")
    assert state.snapshot(snapshot())
    return state


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ([(3820, 1500, 4), (3815, 700, 2)], [(3825, 300, 1), (3830, 4200, 9)], 1999486424),
        ([], [], 2343686810),
        ([(3820, 1500, 4)], [], 473793497),
    ],
)
def test_checksum_is_that_of_the_protocol(
    bids: list[tuple[int, int, int]], asks: list[tuple[int, int, int]], expected: int
) -> None:
    sides = [[Level(*level) for level in side] for side in (bids, asks)]
    assert checksum(*sides) == expected


def test_update_changes_and_removes_levels(book: BookState) -> None:
    expected = checksum([Level(3821, 5, 1), Level(3815, 700, 2)], [Level(3825, 300, 1)])
    changed = book.update(
        update(64, 66, bids=[[3821, 5, 1], [3820, 0, 0]], asks=[[3830, 0, 0]], checksum=expected)
    )
    assert changed
    view = book.view()
    assert (view.sequence, view.time) == (66, 2)
    assert [level.price for level in view.bids] == [3821, 3815]
    assert view.asks == (Level(3825, 300, 1),)


def test_update_that_the_book_contains_is_dropped(book: BookState) -> None:
    assert not book.update(update(60, 64, bids=[[1, 1, 1]], checksum=0))
    assert book.is_known


@pytest.mark.parametrize(
    "message",
    [update(65, 66, checksum=1999486424), update(64, 65, bids=[[3820, 1, 1]], checksum=1999486424)],
    ids=["missing update", "wrong checksum"],
)
def test_unproven_book_is_unknown_until_the_snapshot(
    book: BookState, message: dict[str, Any]
) -> None:
    assert not book.update(message)
    assert not book.is_known
    assert not book.update(update(64, 67, checksum=1999486424))
    assert not book.is_known
    assert book.snapshot(snapshot(70))
    assert book.view().sequence == 70


def test_snapshot_is_requested_at_once_and_then_after_growing_waits(book: BookState) -> None:
    assert not book.wants_resync(0.0)
    book.forget()
    asked = [tenth / 10 for tenth in range(300) if book.wants_resync(tenth / 10)]
    assert asked == [0.0, 1.0, 3.0, 7.0, 15.0, 25.0]
    book.snapshot(snapshot())
    book.forget()
    assert book.wants_resync(30.0)


def test_book_equals_a_plain_dictionary_over_random_changes() -> None:
    rng = random.Random(4)
    state, plain = BookState("PETR4"), {"bids": {}, "asks": {}}  # type: ignore[var-annotated]
    state.snapshot(snapshot(0, bids=[], asks=[], checksum=2343686810))
    for sequence in range(1, 400):
        side = rng.choice(("bids", "asks"))
        price = rng.randrange(1, 40) + (100 if side == "asks" else 0)
        quantity = rng.choice((0, 0, 5, 9))
        plain[side].pop(price, None)
        if quantity:
            plain[side][price] = Level(price, quantity, 1)
        bids = tuple(plain["bids"][p] for p in sorted(plain["bids"], reverse=True))
        asks = tuple(plain["asks"][p] for p in sorted(plain["asks"]))
        total = checksum(bids[:10], asks[:10])
        level = [[price, quantity, min(quantity, 1)]]
        assert state.update(update(sequence - 1, sequence, **{side: level, "checksum": total}))
        view = state.view()
        assert (view.bids, view.asks) == (bids, asks)
