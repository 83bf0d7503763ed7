"""The request of an event stream: channels, symbols and the position to resume from. Pure."""

from collections.abc import Mapping
from typing import Final, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from schemas.candles import Interval
from schemas.feed_requests import ChannelName, LadderDepth, Subscribe, Symbols
from services.api.messages import Parameter, ProblemError
from services.api.query import read_count
from services.feeds.ticker_changes import EVERY

SYMBOLS_MAX: Final = 20
_CHANNELS: Final = frozenset(get_args(ChannelName))
_CHANNEL: Final = f"({'|'.join(get_args(ChannelName))})"
_SYMBOL: Final = "[A-Z0-9._-]{1,10}"
# As the document shows them.
PARAMETERS: Final = (
    Parameter(
        "channels",
        "query",
        {"type": "string", "pattern": f"^{_CHANNEL}(,{_CHANNEL})*$"},
        "Channels separated by commas; `orders`, the broker's own events, needs a key",
        required=True,
    ),
    Parameter(
        "symbols",
        "query",
        {"type": "string", "pattern": rf"^(\*|{_SYMBOL}(,{_SYMBOL}){{0,{SYMBOLS_MAX - 1}}})$"},
        "Symbols separated by commas, or `*` for trades and tickers; `orders` and `operations` "
        "need none",
    ),
    Parameter(
        "depth",
        "query",
        {"type": "integer", "enum": list(get_args(LadderDepth)), "default": 10},
        "Levels of a ladder",
    ),
    Parameter(
        "interval",
        "query",
        {"type": "string", "enum": list(get_args(Interval)), "default": "1m"},
        "Length of a candle",
    ),
    Parameter(
        "position",
        "query",
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)*)?$"},
        "Id of the last event that the client has, for clients that cannot send `Last-Event-ID`",
    ),
    Parameter(
        "Last-Event-ID",
        "header",
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$"},
        "Id of the last event that the client has: later trades and own events come first",
    ),
)
_NAMES: Final = frozenset(each.name for each in PARAMETERS if each.where == "query")

_PARAMETERS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "ladder": ("symbols", "depth"),
    "candles": ("symbols", "interval"),
    "orders": (),
    "operations": (),
}


class _Given(Struct):
    symbols: Symbols = []
    depth: LadderDepth = 10
    interval: Interval = "1m"


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
    try:
        shared = msgspec.convert(_fields(given), _Given)
        return [_subscription(each, shared) for each in channels], given.get("position", "")
    except msgspec.ValidationError as error:
        raise ProblemError("invalid", str(error)) from error


def _fields(given: Mapping[str, str]) -> dict[str, object]:
    fields: dict[str, object] = {}
    if "symbols" in given:
        symbols = given["symbols"]
        if symbols.count(",") >= SYMBOLS_MAX:
            raise ProblemError("invalid", f"at most {SYMBOLS_MAX} symbols")
        fields["symbols"] = EVERY if symbols == EVERY else symbols.split(",")
    if "depth" in given:
        fields["depth"] = read_count(given["depth"], 99) or given["depth"]
    if "interval" in given:
        fields["interval"] = given["interval"]
    return fields


def _subscription(channel: str, shared: _Given) -> Subscribe:
    # Every parameter has to be valid; each channel takes its own.
    names = _PARAMETERS_OF.get(channel, ("symbols",))
    fields = {name: getattr(shared, name) for name in names}
    return msgspec.convert(
        {"op": "subscribe", "id": channel, "channel": channel} | fields, Subscribe
    )


def commands_of(position: str, partitions: int) -> dict[int, int]:
    """The next command by partition of a position such as `1042.877`. Raises ProblemError."""
    parts = position.split(".")
    if len(parts) != partitions or not all(part.isascii() and part.isdecimal() for part in parts):
        raise ProblemError("invalid", f"a position has {partitions} numbers with dots between")
    if max(map(len, parts)) > len(str(2**63)):
        raise ProblemError("invalid", "a position is beyond every log")
    return dict(enumerate(map(int, parts)))
