"""Everything that clients were told and readers show, held against the log and the database."""

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
from tests.chaos.notices import Notices, notices
from tests.chaos.reconciliation import (
    Market,
    Reconciliation,
    answered_with_two,
    called_unknown,
    entered_though_refused,
    reconciliation,
)
from tests.chaos.views import not_shown
from tests.chaos.webhook_receivers import WebhookReceivers
from tests.support.exchange import Exchange

Tell = Callable[[str], None]
_POLL_S = 0.2


class Heard(Struct, frozen=True):
    """The clients' side of the story. `brokers` in the order of the flow's broker numbers."""

    clients: Clients
    brokers: Sequence[Registration]
    seed: int

    def lines(self) -> list[ClientLine]:
        """What each request was answered, as the audit takes it."""
        brokers = [broker.broker_id for broker in self.brokers]
        return list(client_lines(self.clients.records, brokers))

    def keys(self) -> dict[str, str]:
        """Each broker's key by its id."""
        return {broker.broker_id: broker.api_key for broker in self.brokers}

    def contradictions(self) -> list[str]:
        """What cannot be true whatever the log holds."""
        records = self.clients.records
        return [
            *entered_though_refused(records),
            *answered_with_two(records),
            *self.clients.refused_wrongly,
        ]


class Verdict(Struct, frozen=True, kw_only=True):
    """`failing` names the audit's invariants that do not hold, `audit` tells of them."""

    reconciliation: Reconciliation
    contradictions: list[str]
    not_shown: list[str]
    failing: set[Name]
    audit: list[str]
    audit_holds: bool


def judge(
    stack: LocalExchange, heard: Heard, readers: Sequence[str], wait_s: float, tell: Tell
) -> Verdict:
    """`readers`: URLs whose views are compared; `wait_s`: how long the sink may be behind."""
    lines = heard.lines()
    failing: set[Name] = set()
    try:
        report = run_audit(stack.operator, lines, wait_s, Progress(tell))
        audit, holds = list(report.lines()), report.holds
        failing = {found.name for found in report.invariants() if found.differences}
    except ExchangeError as error:
        # The exchange did start: what cannot be read now was lost on the way.
        audit, holds = [f"audit: {error}"], False
    counted, differences = Reconciliation(0, 0, 0, [], []), []
    contradictions = heard.contradictions()
    try:
        market = market_of(stack)
    except (ExchangeError, AssertionError) as error:
        differences.append(f"the log cannot be read: {error}")
    else:
        counted = reconciliation(lines, heard.clients.cancelled, market)
        contradictions += called_unknown(heard.clients.records, market)
        for url in readers:
            differences += not_shown(url, heard.keys(), market, heard.seed)
    return Verdict(
        reconciliation=counted,
        contradictions=contradictions,
        not_shown=differences,
        failing=failing,
        audit=audit,
        audit_holds=holds,
    )


def market_of(stack: LocalExchange) -> Market:
    """The log as it is now. Raises ExchangeError, AssertionError when it cannot be read."""
    exchange = Exchange(stack)
    return Market(
        [command_of(value) for value in exchange.records(COMMANDS)],
        [each for p in range(exchange.partitions) for each in exchange.outcomes(p)],
        [decode_trade(value).trade_id for value in exchange.records(TRADES)],
    )


def told_everybody(
    stack: LocalExchange, webhook_receivers: WebhookReceivers, wait_s: float
) -> Notices:
    """What brokers were told, once all of it has come or the time for it is over."""
    try:
        market = market_of(stack)
    except (ExchangeError, AssertionError) as error:
        return Notices(0, 0, 0, [f"the log cannot be read: {error}"])
    return after_all_came(market, webhook_receivers, wait_s)


def after_all_came(market: Market, webhook_receivers: WebhookReceivers, wait_s: float) -> Notices:
    """The same for a market that is known."""
    deadline = time.monotonic() + wait_s
    while True:
        found = notices(market, webhook_receivers.with_webhook, webhook_receivers.told)
        if not found.wrong or time.monotonic() >= deadline:
            return structs.replace(found, wrong=[*found.wrong, *webhook_receivers.unverified])
        time.sleep(_POLL_S)
