"""Comparison of two views: every answer that they can give, and their internal state."""

from schemas.candles import INTERVALS_MS
from schemas.orders import OrderRecord
from services.reader.app import DEPTH_MAX
from services.reader.prices import TRADES_MAX
from services.reader.views import Views
from tests.support.market import START_MS

LATER = START_MS + 10_000_000


def answers(views: Views, symbols: set[str], brokers: set[str]) -> list[object]:
    """Books, prices and balances, also of an unknown symbol and an unknown broker."""
    given: list[object] = []
    for symbol in sorted(symbols | {"UNKNOWN"}):
        given += [views.book(symbol, depth, LATER) for depth in (1, 10, DEPTH_MAX)]
        given += [views.price(symbol, trades, LATER) for trades in (1, 2, 50, 999, TRADES_MAX)]
    given += [views.balance(broker, "name") for broker in sorted(brokers | {"unknown"})]
    return given


def known_symbols(views: Views) -> set[str]:
    """Symbols with at least one accepted order."""
    return set(views._books)


def known_brokers(views: Views) -> set[str]:
    """Brokers with at least one trade."""
    return set(views._balances._cash)


def open_orders(views: Views) -> dict[str, OrderRecord]:
    """Open orders by id."""
    held = views._orders._records
    return {name: record for name, record in held.items() if record.closed_reason is None}


def state(views: Views) -> dict[str, object]:
    """Whole internal state of the views as plain values."""
    return {
        "orders": views._orders._records,
        "closed": {
            partition: [(command, record.order_id) for command, record in queue]
            for partition, queue in views._orders._closed.items()
            if queue
        },
        "books": {
            symbol: (book.sequence, dict(book._bids), dict(book._asks))
            for symbol, book in views._books.items()
        },
        "prices": {symbol: list(prices) for symbol, prices in views._prices._prices.items()},
        "sequences": views._prices._sequences,
        "candles": {
            (partition, symbol, interval): views.candles.held(partition, symbol, interval)[-1]
            for partition, candles in views.candles._partitions.items()
            for symbol in candles.symbols
            for interval in INTERVALS_MS
        },
        "cash": views._balances._cash,
        "positions": views._balances._positions,
        "instruments": views.instruments._held,
        "own_events": {
            broker_id: dict(own.numbers) for broker_id, own in views.own_events._brokers.items()
        },
        "clocks": views._clocks,
        "partitions": views._partitions,
        "next_commands": views._next_commands,
    }
