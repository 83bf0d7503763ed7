"""Statements that bring the instruments of a run to PostgreSQL. Pure."""

from collections.abc import Iterator
from typing import LiteralString

from msgspec.structs import astuple

from services.sink.rows import Rows

_SET_INSTRUMENT: LiteralString = (
    "INSERT INTO instruments (partition, symbol, phase, reference_price, trade_sequence, tick_size,"
    " lot_size, quantity_max, value_max, price_min, price_max, band_ppm, band_action)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (partition, symbol) DO UPDATE SET phase = excluded.phase,"
    " reference_price = excluded.reference_price, trade_sequence = excluded.trade_sequence,"
    " tick_size = excluded.tick_size, lot_size = excluded.lot_size,"
    " quantity_max = excluded.quantity_max, value_max = excluded.value_max,"
    " price_min = excluded.price_min, price_max = excluded.price_max,"
    " band_ppm = excluded.band_ppm, band_action = excluded.band_action"
)
_SET_PHASE: LiteralString = "UPDATE instruments SET phase = %s WHERE partition = %s AND symbol = %s"


def instrument_changes(rows: Rows) -> Iterator[tuple[LiteralString, list[object]]]:
    """Statements with their values, in order: instruments and rules, then later phases.

    They are rare, so there is one for each, sorted so that two sinks never deadlock.
    """
    for (partition, symbol), event in sorted(rows.instruments.items()):
        values = [event.phase, event.reference_price, event.trade_sequence]
        yield _SET_INSTRUMENT, [partition, symbol, *values, *astuple(event.rules)]
    for (partition, symbol), phase in sorted(rows.phases.items()):
        yield _SET_PHASE, [phase, partition, symbol]
