"""Comparison of received with expected webhooks: lost, repeated, and latencies. Pure."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from loadgen.report.report import Percentiles, percentiles


class Side(Struct, frozen=True):
    """One side of a trade: its broker, its webhook-id, and the time of the trade.

    `queued_us`: when it was in the outbox; None: never.
    """

    broker_id: str
    webhook_id: str
    executed_us: int
    queued_us: int | None


class ReceivedWebhooks(Struct, frozen=True):
    """Received webhooks in order: the broker's number, the webhook-id, and the time of arrival.

    `at_us`: since the epoch. `wrong`: number of invalid signatures.
    """

    brokers: list[int]
    ids: list[str]
    at_us: list[int]
    wrong: int
    cpu_s: float


class Killed(Struct, frozen=True):
    """Time of a kill of the sender, since the epoch, and when the next sender was started."""

    at_us: int
    started_us: int


class Figures(Struct, frozen=True, kw_only=True):
    """`lost`: sides that never arrived. `foreign`: webhooks of unknown trades or wrong brokers.

    Times cover sides traded from `since_us` on, in microseconds from trade to first arrival, and
    its two parts: until the row was in the outbox, and from then on. `away`: from a kill to the
    first webhook of the next sender.
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
    received: ReceivedWebhooks,
    broker_ids: Sequence[str],
    kills: Sequence[Killed],
    since_us: int,
) -> Figures:
    """`broker_ids` by the number that the receiver uses for them."""
    wanted = {(side.broker_id, side.webhook_id): side for side in expected}
    first: dict[tuple[str, str], int] = {}
    foreign = 0
    arrived = zip(received.brokers, received.ids, received.at_us, strict=True)
    for broker, webhook_id, at_us in arrived:
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
        repeated=len(received.ids) - foreign - len(first),
        foreign=foreign,
        wrong_signatures=received.wrong,
        trade_to_webhook_us=percentiles(at_us - side.executed_us for side, at_us in timed),
        trade_to_outbox_us=percentiles(
            queued_us - side.executed_us for side, queued_us, _ in queued
        ),
        outbox_to_webhook_us=percentiles(at_us - queued_us for _, queued_us, at_us in queued),
        kills=len(kills),
        away_us=percentiles(_away(kills, received.at_us)),
    )


def _away(kills: Sequence[Killed], at_us: Sequence[int]) -> Iterator[int]:
    """Outage times. A webhook that arrives before the next start is still from the killed
    sender."""
    arrivals = iter(at_us)
    for killed in kills:
        back_us = next((one for one in arrivals if one > killed.started_us), None)
        if back_us is not None:
            yield back_us - killed.at_us
