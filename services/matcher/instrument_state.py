"""Instruments: set by a command, and as rows of a snapshot. Pure.

A symbol's instrument is in its book; a symbol without one has none of these rules.
"""

from collections.abc import Iterable

from schemas.commands import SetInstrument
from schemas.executions import CommandRefused, InstrumentSet
from schemas.snapshots import InstrumentRow
from services.matcher.book import Book
from services.matcher.instrument import Instrument


def set_instrument(
    books: dict[str, Book], command: SetInstrument
) -> InstrumentSet | CommandRefused:
    """Give a symbol an instrument, or its instrument other rules; the phase stays."""
    book = books.get(command.symbol) or Book(command.symbol)
    held, reference = book.instrument, command.reference_price
    if reference is None:
        if held is None:
            return CommandRefused("needs_reference_price", request=command.request)
        reference = held.reference
    if held is None:
        books[book.symbol] = book
        held = book.instrument = Instrument(command.rules, reference)
    held.rules, held.reference = command.rules, reference
    return InstrumentSet(
        book.symbol,
        command.request,
        command.rules,
        reference,
        held.phase,
        book.sequence,
        book.trade_sequence,
    )


def instrument_rows(books: Iterable[Book]) -> tuple[InstrumentRow, ...]:
    """The instruments of these books in their order."""
    return tuple(
        InstrumentRow(book.symbol, held.rules, held.reference, held.phase)
        for book in books
        if (held := book.instrument) is not None
    )


def restore(books: dict[str, Book], instruments: Iterable[InstrumentRow]) -> None:
    """Give the books the instruments that `instrument_rows` returned."""
    for row in instruments:
        books[row.symbol].instrument = Instrument(row.rules, row.reference_price, row.phase)
