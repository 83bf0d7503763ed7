"""Verification of all answers, views and webhooks against the topics and the database."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

from confluent_kafka import Message
from msgspec import Struct, structs

from loadgen.client.client_log import client_lines
from schemas.codec import decode_trade
from schemas.rest import Registration
from schemas.topics import BOOK, COMMANDS, TRADES, Topic
from services.audit.client_log import ClientLine
from services.audit.report import AuditReport, Name
from services.audit.run import run_audit
from services.local.exchange import LocalExchange
from services.replay.recompute import command_of
from services.runtime.errors import ExchangeError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.progress import Progress
from tests.chaos.clients import Clients
from tests.chaos.controls import (
    MarketChange,
    kinds_of,
    not_cancelled,
    wrong_in_phase,
    wrongly_changed,
    wrongly_prevented,
)
from tests.chaos.foreign_writer import is_foreign
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
# The public topics by the names of their invariants.
_PUBLIC: Final[dict[Name, Topic]] = {"trades_topic": TRADES, "book_topic": BOOK}


class ClientHistory(Struct, frozen=True):
    """All requests with their answers. `brokers` in the order of the flow's broker numbers;
    `changes`: the requests of the operator."""

    clients: Clients
    brokers: Sequence[Registration]
    seed: int
    gateway_clock_wrong_us: Sequence[tuple[int, int]] = ()
    changes: Sequence[MarketChange] = ()

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

    def contradictions_with(self, market: Market) -> list[str]:
        """Answers that are wrong because of what the topics contain."""
        clients, brokers = self.clients, [broker.broker_id for broker in self.brokers]
        return [
            *wrongly_not_found(clients.records, market),
            *wrongly_replaced(clients.replacements, market),
            *not_cancelled(clients.mass_cancels, market),
            *wrongly_changed(self.changes, market),
            *wrong_in_phase(clients.records, brokers, market),
            *wrongly_prevented(market),
        ]

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
    """All differences. `failing`: the audit's failed invariants; `audit`: its report's lines;
    `kinds`: how often each kind of market event occurred that a run must contain."""

    reconciliation: Reconciliation
    contradictions: list[str]
    view_differences: list[str]
    failing: set[Name]
    audit: list[str]
    audit_holds: bool
    kinds: dict[str, int]


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
        foreign = {n: _foreign_records(stack, topic) for n, topic in _PUBLIC.items()}
        failing = failed_invariants(report, foreign)
        audit, holds = list(report.lines()), not failing
        audit += [f"{n}: {count} are a foreign writer's" for n, count in foreign.items() if count]
    except ExchangeError as error:
        # The exchange started, so a topic or table that is unreadable now is a failure.
        audit, holds = [f"audit: {error}"], False
    counted, differences = Reconciliation(0, 0, 0, [], []), []
    contradictions, kinds = history.contradictions(), dict[str, int]()
    try:
        market = market_of(stack)
    except (ExchangeError, AssertionError) as error:
        differences.append(f"the topics cannot be read: {error}")
    else:
        counted = reconciliation(lines, history.clients.cancelled, market)
        kinds = kinds_of(market)
        contradictions += history.contradictions_with(market)
        for url in readers:
            differences += view_differences(url, history.keys(), market, history.seed)
    return Verification(
        reconciliation=counted,
        contradictions=contradictions,
        view_differences=differences,
        failing=failing,
        audit=audit,
        audit_holds=holds,
        kinds=kinds,
    )


def failed_invariants(report: AuditReport, foreign: Mapping[Name, int]) -> set[Name]:
    """Invariants with other differences than one for each record of a foreign writer.

    `foreign`: the number of those records by the invariant of their public topic.
    """
    found = report.invariants()
    return {each.name for each in found if each.differences != foreign.get(each.name, 0)}


def market_of(stack: LocalExchange) -> Market:
    """The present content of the topics, in the public ones without what a foreign writer left.

    Raises ExchangeError or AssertionError if unreadable.
    """
    exchange = Exchange(stack)
    return Market(
        [command_of(value) for value in exchange.records(COMMANDS)],
        [each for p in range(exchange.partitions) for each in exchange.outcomes(p)],
        [
            decode_trade(message.value()).trade_id
            for message in _public_records(stack, TRADES)
            if not is_foreign(message)
        ],
    )


def _foreign_records(stack: LocalExchange, topic: Topic) -> int:
    return sum(map(is_foreign, _public_records(stack, topic)))


def _public_records(stack: LocalExchange, topic: Topic) -> list[Message]:
    settings = stack.settings
    consumer = LogConsumer(kafka_access(stack.operator), Fetch(10), committed=True)
    with closing(consumer):
        found: list[Message] = []
        for number in range(settings.partitions):
            where = Partition(topic.full_name(settings.topic_prefix), number)
            found += consumer.read(where, *consumer.range(where))
        return found


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
