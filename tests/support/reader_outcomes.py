"""Short builders of outcomes, for tests of the services that read the matcher's records."""

from msgspec.structs import replace

from schemas import ids
from schemas.executions import CommandRefused as Refused
from schemas.executions import (
    Event,
    Expired,
    Fill,
    OrderAccepted,
    OrderCancelled,
    Outcome,
    RefusalCode,
)
from schemas.units import Side
from services.runtime.kafka.execution_filter import Batch

ALICE = "00000000-0000-4000-8000-00000000000a"
BOB = "00000000-0000-4000-8000-00000000000b"
CAROL = "00000000-0000-4000-8000-00000000000c"
T0 = 1_795_000_000_000


def oid(number: int, partition: int = 0) -> str:
    """Id of the nth order of a test."""
    return ids.order_id(T0 + number, partition, number)


_WORDS = {"left": "remaining_quantity", "closed": "closed_reason", "book": "book_sequence"}


def limit(
    number: int, broker: str, side: Side, quantity: int, price: int | None, **more: object
) -> OrderAccepted:
    """An accepted order that is open with its whole quantity, unless `more` changes fields.

    Without a price it is a market order. `more`: any field, or the short names `left`, `closed`
    and `book`.
    """
    resting = OrderAccepted(
        order_id=oid(number),
        broker_id=broker,
        document_number=f"doc\\{number}",
        symbol="PETR4",
        side=side,
        order_type="market" if price is None else "limit",
        quantity=quantity,
        remaining_quantity=quantity,
        book_sequence=1,
        price=price,
        client_order_id=f"c-{number}" if number % 2 else None,
    )
    return replace(resting, **{_WORDS.get(word, word): value for word, value in more.items()})


def fill(
    sequence: int, maker: int, broker: str, price: int, quantity: int, maker_left: int
) -> Fill:
    """One fill against the maker's order."""
    return Fill(
        trade_id=ids.trade_id(T0, 0, sequence, maker),
        sequence=sequence,
        price=price,
        quantity=quantity,
        maker_order_id=oid(maker),
        maker_broker_id=broker,
        maker_remaining_quantity=maker_left,
    )


def much_traded(trades: int) -> Batch:
    """Alice's order 1, which offers 1,000, and Bob's orders that take one share each."""
    takers = [
        limit(
            2 + number,
            BOB,
            "bid",
            1,
            10,
            left=0,
            closed="filled",
            fills=(fill(1 + number, 1, ALICE, 10, 1, 999 - number),),
            book=2 + number,
        )
        for number in range(trades)
    ]
    return batch(limit(1, ALICE, "ask", 1_000, 10), *takers)


def cancelled(number: int, broker: str, left: int, book: int) -> OrderCancelled:
    """Cancel of the order by its broker."""
    return OrderCancelled(oid(number), broker, "PETR4", left, book)


def expired(number: int, broker: str, left: int, book: int) -> Expired:
    """Expiry of the order."""
    return Expired(oid(number), broker, "PETR4", left, book)


def refused(code: RefusalCode = "order_not_open") -> Refused:
    """Refusal of a command."""
    return Refused(code)


def batch(
    *events: Event | tuple[Event, tuple[Expired, ...]], first: int = 0, partition: int = 0
) -> Batch:
    """One outcome for each event, a second apart, the nth at command `first + n`."""
    outcomes = []
    for command, event in enumerate(events, first):
        main, gone = event if isinstance(event, tuple) else (event, ())
        outcomes.append(Outcome(T0 + command * 1000, main, gone))
    return Batch(partition, first, tuple(outcomes))


def sweep() -> Batch:
    """Two asks, a bid that fills one and half of the other, and a bid that rests.

    Then a refusal, a bid with an end of validity, a cancel, and an expiry with a further bid.
    """
    return batch(
        limit(1, ALICE, "ask", 100, 1000, book=1),
        limit(2, BOB, "ask", 200, 1010, book=2),
        limit(
            3,
            CAROL,
            "bid",
            200,
            1010,
            left=0,
            closed="filled",
            fills=(fill(1, 1, ALICE, 1000, 100, 0), fill(2, 2, BOB, 1010, 100, 100)),
            book=3,
        ),
        limit(4, CAROL, "bid", 50, 990, book=4),
        refused(),
        limit(5, ALICE, "bid", 70, 990, book=5, valid_until=T0 + 7000),
        cancelled(4, CAROL, 50, 6),
        (limit(6, BOB, "bid", 10, 980, book=8), (expired(5, ALICE, 70, 7),)),
    )
