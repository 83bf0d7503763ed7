"""Events that wait for a slow program: the newest of each book, everything of the rest."""

import pytest

from exchange_client.errors import QueueFullError
from exchange_client.events import BookUnknown, Event
from exchange_client.inbox import Inbox


def event(name: str) -> BookUnknown:
    return BookUnknown(name)


def test_events_come_in_order_and_a_replaced_one_in_its_place() -> None:
    inbox = Inbox()
    inbox.set(("book", "A"), lambda: event("old"))
    inbox.add(event("trade"))
    inbox.set(("book", "A"), lambda: event("new"))
    assert [inbox.take() for _ in range(3)] == [event("new"), event("trade"), None]


def test_event_that_is_void_when_taken_is_passed_over() -> None:
    inbox = Inbox()
    inbox.set(("book", "A"), lambda: None)
    inbox.add(event("next"))
    assert inbox.take() == event("next")


def test_overflow_is_an_error_after_the_events_before_it() -> None:
    inbox, taken = Inbox(events_max=2), list[Event | None]()
    for name in ("1", "2", "3", "4"):
        inbox.add(event(name))
    taken += [inbox.take(), inbox.take()]
    assert taken == [event("1"), event("2")]
    with pytest.raises(QueueFullError):
        inbox.take()
    inbox.add(event("5"))
    with pytest.raises(QueueFullError):
        inbox.take()
