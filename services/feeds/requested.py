"""Subjects that the messages of a client name, and the list of them. Pure."""

from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

from schemas.candles import INTERVALS_MS, Interval
from schemas.feed import Subscription
from schemas.feed_requests import LadderDepth, Subscribe, Unsubscribe
from services.api.messages import ProblemError
from services.feeds.client import Subject
from services.feeds.ticker_changes import EVERY

T = TypeVar("T")


def subjects_of(message: Subscribe | Unsubscribe) -> list[Subject]:
    """The subjects of a message. Raises ProblemError: invalid."""
    channel, symbols, pace = message.channel, message.symbols, message.interval
    if channel in ("orders", "operations"):
        if symbols or pace not in (None, "100ms"):
            raise ProblemError("invalid", f"{channel} have neither symbols nor an interval")
        return [Subject(channel, "")]
    if symbols == EVERY and (channel not in ("trades", "ticker") or pace == "raw"):
        raise ProblemError("invalid", "only trades and tickers are there for all symbols")
    if not symbols:
        raise ProblemError("invalid", "name at least one symbol")
    depth: LadderDepth | Literal[0] = message.depth if channel == "ladder" else 0
    interval, is_raw = _pace(channel, pace)
    return [Subject(channel, each, depth, interval, is_raw) for each in dict.fromkeys(symbols)]


def _pace(
    channel: str, pace: Interval | Literal["100ms", "raw"] | None
) -> tuple[Interval | None, bool]:
    """The interval of candles, and whether the pace is raw."""
    if channel == "candles":
        if pace is None or pace in INTERVALS_MS:
            return pace or "1m", False
    elif pace in (None, "100ms"):
        return None, False
    elif channel in ("trades", "book") and pace == "raw":
        return None, True
    raise ProblemError(
        "invalid", "candles have 1m, 5m, 1h or 1d, trades and books 100ms or raw, others 100ms"
    )


def listed(subjects: Iterable[Subject]) -> list[Subscription]:
    """The subscriptions that have these subjects."""
    found: dict[Subject, list[str]] = {}
    for subject in subjects:
        kind = subject._replace(symbol=EVERY if subject.symbol == EVERY else "")
        found.setdefault(kind, []).append(subject.symbol)
    return [
        Subscription(
            each.channel,
            EVERY if each.symbol == EVERY else list(filter(None, symbols)),
            each.depth or None,
            "raw" if each.raw else each.interval,
        )
        for each, symbols in found.items()
    ]


def converted(value: object, wanted: type[T]) -> T:
    """The value of `after` as this type. Raises ProblemError: invalid."""
    try:
        # A key of a JSON object is text.
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError("invalid", f"`after`: {error}") from error
