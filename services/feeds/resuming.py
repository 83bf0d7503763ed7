"""Subscriptions that begin at a position of the log instead of at sequences. Pure.

The position of an event is that of the whole stream, so some messages come a second time.
"""

from collections.abc import Mapping

from msgspec import structs

from schemas.feed_requests import Subscribe
from services.feeds.market import MarketChanges
from services.feeds.ticker_changes import EVERY
from services.reader.views import Views


def resumed(
    message: Subscribe,
    commands: Mapping[int, int],
    changes: MarketChanges,
    views: Views,
    broker_id: str | None,
) -> Subscribe:
    """The subscription with `after`, so that it has everything from these commands on.

    `commands`: the next command of each partition.
    """
    if message.channel == "orders" and broker_id is not None:
        own = views.own_events.before(broker_id, commands)
        after = None if own is None else {str(each): number for each, number in own.items()}
        return structs.replace(message, after=after)
    if message.channel != "trades":
        return message
    symbols = views.symbols_after("") if message.symbols == EVERY else message.symbols
    return structs.replace(
        message,
        after={symbol: _last_before(symbol, commands, changes, views) for symbol in symbols},
    )


def _last_before(
    symbol: str, commands: Mapping[int, int], changes: MarketChanges, views: Views
) -> int:
    """The sequence of the last trade before the commands; 0 if it is not in memory."""
    partition = views.partition(symbol)
    if partition is None:
        return 0
    command, trades = commands.get(partition, 0), changes.known_trades(symbol)
    if not trades:
        # The views of a database do not tell the commands of its trades.
        is_known = command >= changes.begins.get(partition, views.next_commands()[partition])
        return views.trade_sequence(symbol) - changes.pending_trades(symbol) if is_known else 0
    behind = (each.sequence for each in trades if each.command_offset >= command)
    first = next(behind, None)
    if first is None:
        return trades[-1].sequence
    return 0 if first == trades[0].sequence else first - 1
