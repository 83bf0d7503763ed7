"""Verification of all answers, views and webhooks against the topics and the database."""

import time
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from loadgen.client.client_log import client_lines
from schemas.codec import decode_trade
from schemas.rest import Registration
from schemas.topics import COMMANDS, TRADES
from services.audit.client_log import ClientLine
from services.audit.report import Name
from services.audit.run import run_audit
from services.local.exchange import LocalExchange
from services.replay.recompute import command_of
from services.runtime.errors import ExchangeError
from services.runtime.progress import Progress
from tests.chaos.clients import Clients
from tests.chaos.reconciliation import (
    ClockErrors,
    Market,
    Reconciliation,
    accepted_after_refusals,
    answered_with_two_orders,
    reconciliation,
    refused_wrongly,
    wrongly_not_found,
    wrongly_replaced,
)
from tests.chaos.views import view_differences
from tests.chaos.webhook_check import WebhookCheck, check_webhooks
from tests.chaos.webhook_receivers import WebhookReceivers
from tests.support.exchange import Exchange

PrintLine = Callable[[str], None]
_POLL_S = 0.2


class ClientHistory(Struct, frozen=True):
    """All requests with their answers. `brokers` in the order of the flow's broker numbers."""

    clients: Clients
    brokers: Sequence[Registration]
    seed: int
    gateway_clock_wrong_us: Sequence[tuple[int, int]] = ()

    @property
    def clock_errors(self) -> ClockErrors:
        """Refusals that are excused."""
        return ClockErrors(self.gateway_clock_wrong_us, self.clients.with_validity)

    def lines(self) -> list[ClientLine]:
        """The answers in the format of the audit's client log."""
        brokers = [broker.broker_id for broker in self.brokers]
        # A refusal by a wrong clock comes first, because a refusal after an unknown answer stands.
        records = sorted(self.clients.records, key=lambda line: not self.clock_errors.excuse(line))
        return list(client_lines(records, brokers))

    def keys(self) -> dict[str, str]:
        """API keys by broker id."""
        return {broker.broker_id: broker.api_key for broker in self.brokers}

    def contradictions(self) -> list[str]:
        """Answers that are wrong whatever the topics contain."""
        records = self.clients.records
        return [
            *accepted_after_refusals(records),
            *answered_with_two_orders(records),
            *refused_wrongly(records, self.clock_errors),
        ]


class Verification(Struct, frozen=True, kw_only=True):
    """All differences. `failing`: the audit's failed invariants; `audit`: its report's lines."""

    reconciliation: Reconciliation
    contradictions: list[str]
    view_differences: list[str]
    failing: set[Name]
    audit: list[str]
    audit_holds: bool


def verify(
    stack: LocalExchange,
    history: ClientHistory,
    readers: Sequence[str],
    wait_s: float,
    print_line: PrintLine,
) -> Verification:
    """Verify all but the webhooks.

    `readers`: URLs whose views are compared; `wait_s`: time for the sink to catch up.
    """
    lines = history.lines()
    failing: set[Name] = set()
    try:
        report = run_audit(stack.operator, lines, wait_s, Progress(print_line))
        audit, holds = list(report.lines()), report.holds
        failing = {found.name for found in report.invariants() if found.differences}
    except ExchangeError as error:
        # The exchange started, so a topic or table that is unreadable now is a failure.
        audit, holds = [f"audit: {error}"], False
    counted, differences = Reconciliation(0, 0, 0, [], []), []
    contradictions = history.contradictions()
    try:
        market = market_of(stack)
    except (ExchangeError, AssertionError) as error:
        differences.append(f"the topics cannot be read: {error}")
    else:
        counted = reconciliation(lines, history.clients.cancelled, market)
        contradictions += wrongly_not_found(history.clients.records, market)
        contradictions += wrongly_replaced(history.clients.replacements, market)
        for url in readers:
            differences += view_differences(url, history.keys(), market, history.seed)
    return Verification(
        reconciliation=counted,
        contradictions=contradictions,
        view_differences=differences,
        failing=failing,
        audit=audit,
        audit_holds=holds,
    )


def market_of(stack: LocalExchange) -> Market:
    """The present content of the topics. Raises ExchangeError or AssertionError if unreadable."""
    exchange = Exchange(stack)
    return Market(
        [command_of(value) for value in exchange.records(COMMANDS)],
        [each for p in range(exchange.partitions) for each in exchange.outcomes(p)],
        [decode_trade(value).trade_id for value in exchange.records(TRADES)],
    )


def verify_webhooks(
    stack: LocalExchange, receivers: WebhookReceivers, wait_s: float
) -> WebhookCheck:
    """Compare the received webhooks with the trades, once all arrived or after `wait_s`."""
    try:
        market = market_of(stack)
    except (ExchangeError, AssertionError) as error:
        return WebhookCheck(0, 0, 0, [f"the topics cannot be read: {error}"])
    return wait_for_webhooks(market, receivers, wait_s)


def wait_for_webhooks(market: Market, receivers: WebhookReceivers, wait_s: float) -> WebhookCheck:
    """Compare the received webhooks with the trades of a market that was read already."""
    deadline = time.monotonic() + wait_s
    while True:
        found = check_webhooks(market, receivers.with_webhook, receivers.received)
        if not found.failures or time.monotonic() >= deadline:
            failures = [*found.failures, *receivers.unverified]
            return structs.replace(found, failures=failures)
        time.sleep(_POLL_S)
