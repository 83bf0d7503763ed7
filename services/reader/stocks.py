"""Stocks from listings and views: symbols in order, each with its newest figures. Pure."""

from collections.abc import Iterator
from heapq import merge
from itertools import groupby

from schemas.queries import StockResource
from services.api.partition_map import PartitionMap
from services.reader.views import Views


def stock(views: Views, partition_map: PartitionMap, symbol: str) -> StockResource:
    """The stock; any symbol is one, also without a listing or an order."""
    last, held = views.last_trade(symbol), views.instruments.get(symbol)
    return StockResource(
        symbol=symbol,
        listed=partition_map.is_listed(symbol),
        partition=partition_map.partition(symbol),
        last_price=None if last is None else last.price,
        trade_sequence=0 if last is None else last.sequence,
        book_sequence=views.book_sequence(symbol),
        tick_size=1 if held is None else held.rules.tick_size,
        lot_size=1 if held is None else held.rules.lot_size,
        phase=views.instruments.phase(symbol),
        instrument=None if held is None else held.resource(last),
    )


def symbols_after(
    views: Views, partition_map: PartitionMap, symbol: str, *, listed: bool | None
) -> Iterator[str]:
    """Symbols beyond this one, each once and sorted; `listed`: only those with or without a
    listing."""
    if listed:
        return partition_map.listed_after(symbol)
    if listed is None:
        both = merge(partition_map.listed_after(symbol), views.symbols_after(symbol))
        return (each for each, _ in groupby(both))
    return (each for each in views.symbols_after(symbol) if not partition_map.is_listed(each))
