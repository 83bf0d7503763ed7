"""Check of the received webhooks against the trades: every side of every trade of a broker with a
webhook URL must arrive at least once, with the right content, and every time with the same
webhook-id and the same bytes. Pure.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from schemas.outcome_steps import trades_of
from schemas.units import rfc3339
from tests.chaos.reconciliation import Market


class ReceivedWebhook(Struct, frozen=True):
    """A webhook that a broker's receiver accepted."""

    broker_id: str
    webhook_id: str
    body: bytes


class WebhookCheck(Struct, frozen=True):
    """Numbers of webhooks: expected, received at least once, and received again beyond the first.

    Every line of `failures` names broker and webhook-id.
    """

    expected: int
    received: int
    repeated: int
    failures: list[str]


# Broker id and webhook-id.
Key = tuple[str, str]


def check_webhooks(
    market: Market, with_webhook: Collection[str], received: Sequence[ReceivedWebhook]
) -> WebhookCheck:
    """Compare. `with_webhook`: ids of brokers with a URL; the others must not receive any."""
    expected = dict(_expected(market, with_webhook))
    bodies_by_key: dict[Key, set[bytes]] = {}
    for webhook in list(received):
        key = (webhook.broker_id, webhook.webhook_id)
        bodies_by_key.setdefault(key, set()).add(webhook.body)
    failures = [f"{' '.join(k)} was not received" for k in expected if k not in bodies_by_key]
    for key, bodies in bodies_by_key.items():
        name = " ".join(key)
        if key not in expected:
            failures.append(f"{name} belongs to no trade of this broker")
        elif any(msgspec.json.decode(body) != expected[key] for body in bodies):
            failures.append(f"{name} was {sorted(bodies)}, the trade is {expected[key]}")
        elif len(bodies) > 1:
            failures.append(f"{name} was repeated with other bytes: {sorted(bodies)}")
    first = sum(key in expected for key in bodies_by_key)
    return WebhookCheck(len(expected), first, len(received) - len(bodies_by_key), failures)


def _expected(market: Market, with_webhook: Collection[str]) -> Iterator[tuple[Key, Any]]:
    for outcome in market.outcomes:
        for trade in trades_of(outcome):
            taker, fill = trade.taker, trade.fill
            other = "ask" if taker.side == "bid" else "bid"
            for broker_id, order_id, side, remaining in (
                (taker.broker_id, taker.order_id, taker.side, trade.taker_remaining),
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
