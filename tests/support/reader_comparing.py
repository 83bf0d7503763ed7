"""Two views side by side: every answer they can give, and what they know without showing it."""

from schemas.orders import OrderRecord
from services.reader.app import DEPTH_MAX
from services.reader.prices import TRADES_MAX
from services.reader.views import Views
from tests.support.market import START_MS

LATER = START_MS + 10_000_000


def answers(views: Views, symbols: set[str], brokers: set[str]) -> list[object]:
    """Books, prices and balances. Also of a symbol and a broker that nobody knows."""
    told: list[object] = []
    for symbol in sorted(symbols | {"NOBODY"}):
        told += [views.book(symbol, depth, LATER) for depth in (1, 10, DEPTH_MAX)]
        told += [views.price(symbol, trades, LATER) for trades in (1, 2, 50, 999, TRADES_MAX)]
    told += [views.balance(broker, "name") for broker in sorted(brokers | {"nobody"})]
    return told


def known_symbols(views: Views) -> set[str]:
    """Every symbol that was ever ordered."""
    return set(views._books)


def known_brokers(views: Views) -> set[str]:
    """Every broker that ever traded."""
    return set(views._balances._cash)


def open_orders(views: Views) -> dict[str, OrderRecord]:
    """What rests in the books, by id."""
    held = views._orders._records
    return {name: record for name, record in held.items() if record.closed_reason is None}


def state(views: Views) -> dict[str, object]:
    """All that views hold, as plain values."""
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
        "cash": views._balances._cash,
        "positions": views._balances._positions,
        "clocks": views._clocks,
        "partitions": views._partitions,
        "folded": views._next_commands,
    }
