"""What came held against what should have come: lost, repeated, and how long it took. Pure."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from loadgen.report.report import Percentiles, percentiles


class Side(Struct, frozen=True):
    """One side of a trade: whose, under which webhook-id it comes, since when it is due.

    `queued_us`: when it was in the outbox; None: never.
    """

    broker_id: str
    webhook_id: str
    executed_us: int
    queued_us: int | None


class Heard(Struct, frozen=True):
    """What came, in order: whose it is (by the broker's number), its webhook-id, when.

    `at_us`: since the epoch. `wrong`: those whose signature was not right.
    """

    brokers: list[int]
    ids: list[str]
    at_us: list[int]
    wrong: int
    cpu_s: float


class Killed(Struct, frozen=True):
    """When the sender was, since the epoch, and when the next one was started."""

    at_us: int
    started_us: int


class Figures(Struct, frozen=True, kw_only=True):
    """`lost`: sides that never came. `foreign`: webhooks that tell of no trade, or a wrong broker.

    Times are of sides that were traded from `since_us` on, in microseconds from trade to first
    arrival, and the two parts of it: until the row was in the outbox, and from there on. `away`:
    from a kill to the first webhook of the next sender.
    """

    expected: int
    delivered: int
    lost: int
    repeated: int
    foreign: int
    wrong_signatures: int
    trade_to_webhook_us: Percentiles | None
    trade_to_outbox_us: Percentiles | None
    outbox_to_webhook_us: Percentiles | None
    kills: int
    away_us: Percentiles | None


def figures(
    expected: Sequence[Side],
    heard: Heard,
    broker_ids: Sequence[str],
    kills: Sequence[Killed],
    since_us: int,
) -> Figures:
    """`broker_ids` by the number under which the receiver knows them."""
    wanted = {(side.broker_id, side.webhook_id): side for side in expected}
    first: dict[tuple[str, str], int] = {}
    foreign = 0
    came = zip(heard.brokers, heard.ids, heard.at_us, strict=True)
    for broker, webhook_id, at_us in came:
        known = 0 <= broker < len(broker_ids)
        side = (broker_ids[broker] if known else "", webhook_id)
        if side in wanted:
            first.setdefault(side, at_us)
        else:
            foreign += 1
    timed = [
        (wanted[side], at_us)
        for side, at_us in first.items()
        if wanted[side].executed_us >= since_us
    ]
    queued = [(side, side.queued_us, at_us) for side, at_us in timed if side.queued_us is not None]
    return Figures(
        expected=len(wanted),
        delivered=len(first),
        lost=len(wanted) - len(first),
        repeated=len(heard.ids) - foreign - len(first),
        foreign=foreign,
        wrong_signatures=heard.wrong,
        trade_to_webhook_us=percentiles(at_us - side.executed_us for side, at_us in timed),
        trade_to_outbox_us=percentiles(
            queued_us - side.executed_us for side, queued_us, _ in queued
        ),
        outbox_to_webhook_us=percentiles(at_us - queued_us for _, queued_us, at_us in queued),
        kills=len(kills),
        away_us=percentiles(_away(kills, heard.at_us)),
    )


def _away(kills: Sequence[Killed], at_us: Sequence[int]) -> Iterator[int]:
    """What comes before the next one was started is still the dead one's."""
    arrivals = iter(at_us)
    for killed in kills:
        back_us = next((one for one in arrivals if one > killed.started_us), None)
        if back_us is not None:
            yield back_us - killed.at_us
