"""Bounds that are part of the market's rules. Pure."""

from msgspec import Struct


class Rules(Struct, frozen=True):
    """Bounds that are part of the market's rules: a change would alter the results of a log.

    `fills_max`, `expiries_max`, `elections_max` and `cancels_max` keep an outcome below the size of
    a record. Beyond them the rest of the order is cancelled; the rest of the backlog expires, and
    of the elected stops takes, with the next command; a cancel of all orders leaves the newest.
    `client_id_window_ms` covers any retry of a request; `client_ids_max` bounds its memory while no
    quotas are set; ids are forgotten in blocks, one for each `client_id_block` commands.
    `order_id_window_ms`: the clocks of Kafka and of gateways may differ by less than that.
    Every `whole_book_every` changes of a book its public record contains the whole book, unless
    that has more than `whole_book_levels_max` levels.
    """

    fills_max: int = 10_000
    expiries_max: int = 10_000
    elections_max: int = 1_000
    cancels_max: int = 10_000
    client_ids_max: int = 1_000_000
    client_id_window_ms: int = 3_600_000
    client_id_block: int = 1_000
    order_id_window_ms: int = 300_000
    whole_book_every: int = 1_000
    whole_book_levels_max: int = 20_000


RULES = Rules()
