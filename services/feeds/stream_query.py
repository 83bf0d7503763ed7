"""The request of an event stream: channels, symbols and the position to resume from. Pure."""

from collections.abc import Mapping
from typing import Final, get_args
from urllib.parse import parse_qsl

import msgspec

from schemas.feed_requests import ChannelName, Subscribe
from services.api.messages import ProblemError
from services.feeds.ticker_changes import EVERY

SYMBOLS_MAX: Final = 20
_NAMES: Final = frozenset(("channels", "symbols", "depth", "interval", "position"))
_CHANNELS: Final = frozenset(get_args(ChannelName))


def subscriptions(query: str) -> tuple[list[Subscribe], str]:
    """The subscriptions of a query string, and its `position`. Raises ProblemError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise ProblemError("invalid", f"the query cannot be read: {error}") from error
    given = dict(pairs)
    unknown = given.keys() - _NAMES
    if unknown or len(given) != len(pairs):
        what = min(unknown, default="a parameter")
        raise ProblemError("invalid", f"unknown or repeated parameter: {what}")
    channels = given.get("channels", "").split(",")
    if not _CHANNELS.issuperset(channels) or len(set(channels)) != len(channels):
        raise ProblemError("invalid", f"channels: one or more of {', '.join(sorted(_CHANNELS))}")
    return [_subscription(channel, given) for channel in channels], given.get("position", "")


def _subscription(channel: str, given: Mapping[str, str]) -> Subscribe:
    fields: dict[str, object] = {"op": "subscribe", "id": channel, "channel": channel}
    if channel not in ("orders", "operations"):
        symbols = given.get("symbols", "")
        fields["symbols"] = EVERY if symbols == EVERY else symbols.split(",")
        if symbols.count(",") >= SYMBOLS_MAX:
            raise ProblemError("invalid", f"at most {SYMBOLS_MAX} symbols")
    if channel == "candles" and "interval" in given:
        fields["interval"] = given["interval"]
    if channel == "ladder" and "depth" in given:
        fields["depth"] = int(given["depth"]) if given["depth"].isdecimal() else given["depth"]
    try:
        return msgspec.convert(fields, Subscribe)
    except msgspec.ValidationError as error:
        raise ProblemError("invalid", str(error)) from error


def commands_of(position: str, partitions: int) -> dict[int, int]:
    """The next command by partition of a position such as `1042.877`. Raises ProblemError."""
    parts = position.split(".")
    if len(parts) != partitions or not all(part.isascii() and part.isdecimal() for part in parts):
        raise ProblemError("invalid", f"a position has {partitions} numbers with dots between")
    if max(map(len, parts)) > len(str(2**63)):
        raise ProblemError("invalid", "a position is beyond every log")
    return dict(enumerate(map(int, parts)))
