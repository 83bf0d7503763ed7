"""The compared systems in words, in order of measurement and presentation. Pure."""

from typing import Final

from msgspec import Struct


class SystemEntry(Struct, frozen=True):
    """`promise`: the guarantee of a 201. `colour`: distinguishable with colour blindness."""

    title: str
    idea: str
    promise: str
    colour: str


ENTRIES: Final[dict[str, SystemEntry]] = {
    "v1": SystemEntry(
        "V1",
        "stateless API, PostgreSQL matches, a transaction with row locks for each order",
        "on disk",
        "#d55e00",
    ),
    "v2": SystemEntry(
        "V2",
        "matches in memory, writes behind every 30 ms, reads from PostgreSQL",
        "in memory",
        "#cc79a7",
    ),
    "v3": SystemEntry(
        "V3", "everything in memory, writes behind every 30 ms", "in memory", "#e69f00"
    ),
    "process": SystemEntry(
        "This exchange, `process`",
        "the log comes first, in the page cache",
        "in the log: it survives a kill of everything, not a loss of power",
        "#0072b2",
    ),
    "fsync": SystemEntry(
        "This exchange, `fsync`",
        "the log comes first, flushed",
        "in the log and on disk: it survives a loss of power",
        "#009e73",
    ),
}
