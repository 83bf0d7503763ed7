"""Instruments and terms of orders: set by a command, and as rows of a snapshot. Pure.

A symbol's instrument is in its book; a symbol without one has none of these rules.
"""

from collections.abc import Iterable

from msgspec import structs

from schemas.commands import SetInstrument
from schemas.executions import CommandRefused, InstrumentSet
from schemas.snapshots import InstrumentRow, OrderTermsRow, PreventionRow
from services.matcher.book import Book
from services.matcher.instrument import Instrument, OrderTerms


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


def rows(
    books: Iterable[Book], terms: dict[str, OrderTerms]
) -> tuple[tuple[InstrumentRow, ...], tuple[OrderTermsRow, ...]]:
    """The instruments of these books in their order, and the terms by order id."""
    return (
        tuple(
            InstrumentRow(book.symbol, held.rules, held.reference, held.phase)
            for book in books
            if (held := book.instrument) is not None
        ),
        tuple(OrderTermsRow(name, terms[name].document_number) for name in sorted(terms)),
    )


def preventions(terms: dict[str, OrderTerms]) -> tuple[PreventionRow, ...]:
    """The self-trade preventions of those orders that have one, by order id."""
    return tuple(
        PreventionRow(name, mode)
        for name in sorted(terms)
        if (mode := terms[name].self_trade_prevention) is not None
    )


def restore(
    books: dict[str, Book],
    instruments: Iterable[InstrumentRow],
    rows: Iterable[OrderTermsRow],
    preventions: Iterable[PreventionRow],
) -> dict[str, OrderTerms]:
    """Give the books the instruments that `rows` returned, and return the terms by order id."""
    for row in instruments:
        books[row.symbol].instrument = Instrument(row.rules, row.reference_price, row.phase)
    terms = {row.order_id: OrderTerms(row.document_number) for row in rows}
    for each in preventions:
        terms[each.order_id] = structs.replace(
            terms[each.order_id], self_trade_prevention=each.mode
        )
    return terms
