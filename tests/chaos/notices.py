"""What brokers were told, held against the trades of the log: each side of each trade of a broker
with a URL at least once, always under the same webhook-id, with the same and true words. Pure.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from schemas.executions import OrderAccepted
from schemas.units import rfc3339
from tests.chaos.reconciliation import Market


class Told(Struct, frozen=True):
    """A webhook that a broker's receiver took."""

    broker_id: str
    webhook_id: str
    body: bytes


class Notices(Struct, frozen=True):
    """`repeated`: those that came beyond the first. Every line of `wrong` names the webhook."""

    sides: int
    told: int
    repeated: int
    wrong: list[str]


# Whose webhook, and its id.
Key = tuple[str, str]


def notices(market: Market, with_webhook: Collection[str], told: Sequence[Told]) -> Notices:
    """`with_webhook`: brokers with a URL; nobody else may be told anything."""
    due = dict(_due(market, with_webhook))
    came: dict[Key, set[bytes]] = {}
    for one in list(told):
        came.setdefault((one.broker_id, one.webhook_id), set()).add(one.body)
    wrong = [f"{' '.join(key)} was never told" for key in due if key not in came]
    for key, bodies in came.items():
        name = " ".join(key)
        if key not in due:
            wrong.append(f"{name} tells of nothing that this broker traded")
        elif any(msgspec.json.decode(body) != due[key] for body in bodies):
            wrong.append(f"{name} was told as {sorted(bodies)}, the log has {due[key]}")
        elif len(bodies) > 1:
            wrong.append(f"{name} was repeated in other words: {sorted(bodies)}")
    first = sum(key in due for key in came)
    return Notices(len(due), first, len(told) - len(came), wrong)


def _due(market: Market, with_webhook: Collection[str]) -> Iterator[tuple[Key, Any]]:
    for outcome in market.outcomes:
        taker = outcome.event
        if not isinstance(taker, OrderAccepted):
            continue
        other = "ask" if taker.side == "bid" else "bid"
        left = taker.quantity
        for fill in taker.fills:
            left -= fill.quantity
            for broker_id, order_id, side, remaining in (
                (taker.broker_id, taker.order_id, taker.side, left),
                (
                    fill.maker_broker_id,
                    fill.maker_order_id,
                    other,
                    fill.maker_remaining_quantity,
                ),
            ):
                if broker_id in with_webhook:
                    yield (
                        (broker_id, f"{fill.trade_id}-{side}"),
                        {
                            "event": "trade_executed",
                            "trade_id": fill.trade_id,
                            "order_id": order_id,
                            "symbol": taker.symbol,
                            "side": side,
                            "price": fill.price,
                            "quantity": fill.quantity,
                            "order_remaining_quantity": remaining,
                            "executed_at": rfc3339(outcome.time),
                        },
                    )
