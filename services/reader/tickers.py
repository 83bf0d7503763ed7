"""Tickers from the views: newest price, best prices, and sums of the last 24 hours. Pure."""

from schemas.queries import TickerResource
from schemas.units import rfc3339
from services.reader.views import Views


def ticker(views: Views, symbol: str, clock: int) -> TickerResource:
    """The symbol's ticker at `clock`, the time of its partition."""
    partition, last = views.partition(symbol), views.last_trade(symbol)
    best = views.book(symbol, 1, clock)
    bid, ask = next(iter(best.bids), None), next(iter(best.asks), None)
    # A symbol without a partition has no trades on any.
    start, day = views.candles.day(-1 if partition is None else partition, symbol, clock)
    return TickerResource(
        symbol=symbol,
        last=None if last is None else last.price,
        open=None if day is None else day.open,
        high=None if day is None else day.high,
        low=None if day is None else day.low,
        volume=0 if day is None else day.volume,
        value=0 if day is None else day.value,
        trades=0 if day is None else day.trades,
        bid=None if bid is None else bid.price,
        bid_quantity=None if bid is None else bid.total_quantity,
        ask=None if ask is None else ask.price,
        ask_quantity=None if ask is None else ask.total_quantity,
        sequence=0 if last is None else last.sequence,
        phase=views.instruments.phase(symbol),
        window_start=rfc3339(start),
        as_of=rfc3339(clock),
    )
