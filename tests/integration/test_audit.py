"""The audit accepts what a real matcher and sink recorded, and reports each single change."""

import msgspec
import pytest
from msgspec import structs

from schemas.codec import encode
from schemas.commands import CancelOrder, PlaceOrder, Tick
from schemas.executions import claim_offset
from schemas.ids import order_id
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, SNAPSHOTS, TRADES, Topic
from services.audit.client_log import ClientLine
from services.audit.report import AuditReport, Name
from services.replay.recompute import command_of
from services.runtime.errors import UnavailableError
from services.runtime.kafka.log_reader import Record
from tests.integration.audited_market import (
    PARTITIONS,
    AuditedMarket,
    Change,
    trim,
    with_changed_log,
    with_changed_rows,
)
from tests.integration.market_edits import (
    Edit,
    commits,
    epochs,
    extra,
    first_cancelled,
    first_fill,
    first_taker,
    first_to_rest,
    nth_to_rest,
    of_lost_claim,
    on,
    one_cent_more,
    replaced,
)
from tests.support.exchange import Exchange

# These invariants also fail when a log record changes: later engine states differ from there on.
ENGINE: set[Name] = {"recomputed", "snapshots"}


def failing(report: AuditReport) -> set[Name]:
    return {found.name for found in report.invariants() if found.differences}


def test_audit_of_a_good_market_passes_and_checks_everything(market: AuditedMarket) -> None:
    report = market.audit()
    assert failing(report) == set(), "\n".join(report.lines())
    looked_at = {found.name for found in report.invariants() if found.checked}
    # No line of a client is of a refused order.
    assert looked_at == {found.name for found in report.invariants()} - {"refused"}
    assert report["stored_trades"].checked > 200
    assert report["stored_brokers"].checked == 6
    assert report["stored_webhooks"].checked > 50
    assert report["snapshots"].checked >= PARTITIONS
    assert report["owner"].checked > 50


def test_audit_of_an_unchanged_copy_passes(market: AuditedMarket) -> None:
    report = with_changed_log(market, lambda _, records: records).audit()
    assert failing(report) == set(), "\n".join(report.lines())


SOME_ROW = {
    "ONE_ORDER": "(SELECT id FROM orders WHERE order_type = 'limit' LIMIT 1)",
    "ONE_TRADE": "(SELECT id FROM trades LIMIT 1)",
    "ONE_SYMBOL": "(SELECT symbol FROM symbols WHERE partition = 0 ORDER BY symbol LIMIT 1)",
    "ONE_WEBHOOK": "(SELECT event_id FROM webhook_deliveries LIMIT 1)",
    "ONE_BROKER": "(SELECT id FROM brokers LIMIT 1)",
}


@pytest.mark.parametrize(
    ("statement", "noticed"),
    [
        ("DELETE FROM orders WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET price = price + 1 WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET document_number = '0' WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET client_order_id = NULL WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET filled_value = 12345678 WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET trades_count = 12345678 WHERE id = ONE_ORDER", "stored_orders"),
        (
            "UPDATE orders SET updated_at = updated_at + '1 ms' WHERE id = ONE_ORDER",
            "stored_orders",
        ),
        (
            "UPDATE orders SET closed_reason = 'expired' WHERE id ="
            " (SELECT id FROM orders WHERE closed_reason = 'cancelled' LIMIT 1)",
            "stored_orders",
        ),
        (
            "UPDATE orders SET closed_reason = NULL WHERE id ="
            " (SELECT id FROM orders WHERE closed_reason = 'cancelled' LIMIT 1)",
            "stored_orders",
        ),
        (
            "INSERT INTO orders (id, broker_id, document_number, symbol, side, order_type, price,"
            " quantity, remaining_quantity, filled_value, closed_reason, created_at, updated_at,"
            " partition, command_offset) SELECT gen_random_uuid(), broker_id, document_number,"
            " symbol, side, order_type, price, quantity, remaining_quantity, filled_value,"
            " closed_reason, created_at, updated_at, partition, command_offset"
            " FROM orders WHERE id = ONE_ORDER",
            "stored_orders",
        ),
        ("DELETE FROM trades WHERE id = ONE_TRADE", "stored_trades"),
        ("UPDATE trades SET price = price + 1 WHERE id = ONE_TRADE", "stored_trades"),
        ("UPDATE trades SET quantity = quantity + 1 WHERE id = ONE_TRADE", "stored_trades"),
        (
            "UPDATE trades SET buy_broker_id = gen_random_uuid() WHERE id = ONE_TRADE",
            "stored_trades",
        ),
        ("UPDATE trades SET id = gen_random_uuid() WHERE id = ONE_TRADE", "stored_trades"),
        (
            "INSERT INTO trades SELECT gen_random_uuid(), buy_order_id, sell_order_id,"
            " buy_broker_id, sell_broker_id, symbol, price, quantity, aggressor_side, 999999,"
            " executed_at, partition, command_offset, index FROM trades WHERE id = ONE_TRADE",
            "stored_trades",
        ),
        ("UPDATE symbols SET book_sequence = book_sequence + 1", "stored_sums"),
        ("DELETE FROM symbols WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("INSERT INTO symbols VALUES (0, 'OTHER', 1)", "stored_sums"),
        ("UPDATE symbols SET partition = 1 WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("UPDATE instruments SET tick_size = 3 WHERE partition = 0", "stored_sums"),
        ("DELETE FROM instruments WHERE partition = 1", "stored_sums"),
        ("UPDATE balances SET quantity = quantity + 1 WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("UPDATE balances SET value = value - 1 WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("DELETE FROM balances WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("INSERT INTO balances VALUES (gen_random_uuid(), 'OTHER', 0, 0)", "stored_sums"),
        ("UPDATE candles SET high = high + 1 WHERE interval = '1d'", "stored_candles"),
        ("UPDATE candles SET start = start + '1 day' WHERE interval = '1m'", "stored_candles"),
        ("DELETE FROM candles WHERE symbol = ONE_SYMBOL", "stored_candles"),
        (
            "INSERT INTO candles SELECT partition, 'OTHER', interval, start, open, high, low,"
            " close, volume, value, trades, first_sequence, last_sequence FROM candles"
            " WHERE symbol = ONE_SYMBOL",
            "stored_candles",
        ),
        ("UPDATE broker_events SET events = events + 1 WHERE partition = 1", "stored_events"),
        ("DELETE FROM broker_events WHERE partition = 0", "stored_events"),
        ("UPDATE log_positions SET clock = clock + '1 ms' WHERE partition = 1", "stored_sums"),
        ("UPDATE log_positions SET clock = NULL WHERE partition = 0", "stored_sums"),
        ("UPDATE brokers SET name = 'Other' WHERE id = ONE_BROKER", "stored_brokers"),
        ("DELETE FROM brokers WHERE id = ONE_BROKER", "stored_brokers"),
        (
            "INSERT INTO brokers SELECT gen_random_uuid(), name, api_key_hash, NULL, created_at"
            " FROM brokers WHERE id = ONE_BROKER",
            "stored_brokers",
        ),
        ("UPDATE webhook_endpoints SET url = url || '/x'", "stored_brokers"),
        ("UPDATE webhook_endpoints SET secrets = '[]'", "stored_brokers"),
        ("DELETE FROM webhook_endpoints", "stored_brokers"),
        ("DELETE FROM webhook_deliveries WHERE event_id = ONE_WEBHOOK", "stored_webhooks"),
        (
            "UPDATE webhook_deliveries SET order_remaining_quantity = order_remaining_quantity + 1"
            " WHERE event_id = ONE_WEBHOOK",
            "stored_webhooks",
        ),
        (
            "INSERT INTO webhook_deliveries (broker_id, event_id, kind, order_remaining_quantity)"
            " SELECT broker_id, gen_random_uuid(), kind, 1 FROM webhook_deliveries LIMIT 1",
            "stored_webhooks",
        ),
        (
            "INSERT INTO webhook_deliveries (broker_id, event_id, kind, order_remaining_quantity)"
            " SELECT '00000000-0000-4000-8000-000000000000', id, 'bid', 1 FROM trades LIMIT 1",
            "stored_webhooks",
        ),
        ("UPDATE log_positions SET next_command = next_command + 1", "stored"),
    ],
)
def test_audit_reports_a_changed_row(
    market: AuditedMarket, exchange: Exchange, statement: str, noticed: Name
) -> None:
    for token, query in SOME_ROW.items():
        statement = statement.replace(token, query)
    report = with_changed_rows(market, exchange.database_url, statement).audit()
    assert failing(report) == {noticed}, "\n".join(report.lines())


def test_audit_ignores_changes_of_webhooks_by_senders_and_brokers(
    market: AuditedMarket, exchange: Exchange
) -> None:
    for statement in (
        "UPDATE webhook_deliveries SET status = 'delivered', attempts = 1, finished_at = now()",
        "UPDATE webhook_endpoints SET failures = 7, disabled_at = now()",
        "INSERT INTO webhook_deliveries (broker_id, event_id, kind)"
        " SELECT broker_id, gen_random_uuid(), 'test' FROM webhook_endpoints",
    ):
        report = with_changed_rows(market, exchange.database_url, statement).audit()
        assert failing(report) == set(), "\n".join(report.lines())


def test_audit_of_a_database_filled_before_it_had_an_outbox_is_noted(
    market: AuditedMarket, exchange: Exchange
) -> None:
    statement = (
        "WITH later AS (UPDATE log_positions SET queued_from = next_command)"
        " DELETE FROM webhook_deliveries"
    )
    report = with_changed_rows(market, exchange.database_url, statement).audit()
    assert failing(report) == set(), "\n".join(report.lines())
    assert report["stored_webhooks"].note


def test_audit_of_a_database_filled_before_it_kept_sums_is_noted(
    market: AuditedMarket, exchange: Exchange
) -> None:
    statement = "UPDATE log_positions SET summed_from = 1 WHERE partition = 0"
    report = with_changed_rows(market, exchange.database_url, statement).audit()
    assert report.holds
    assert report["stored_sums"].note == "filled in part before it kept sums"


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (on(TRADES, lambda records: [*records[:50], records[50], *records[50:]]), "trades_topic"),
        (on(TRADES, lambda records: [*records, records[3]]), "trades_topic"),
        (on(TRADES, lambda records: records[:50] + records[51:]), "trades_topic"),
        (on(TRADES, lambda records: records[:-1]), "trades_topic"),
        (on(TRADES, one_cent_more), "trades_topic"),
        (on(TRADES, extra(b"{")), "trades_topic"),
        (on(BOOK, lambda records: records[:50] + records[51:]), "book_topic"),
        (on(BOOK, lambda records: [*records, records[-1]]), "book_topic"),
        (on(BOOK, replaced('"bids":[[', '"bids":[[1', 20)), "book_topic"),
        (on(SNAPSHOTS, commits(lambda it: structs.replace(it, digest="00"))), "snapshots"),
        (on(SNAPSHOTS, epochs(claim_offset)), "snapshots"),
        (on(SNAPSHOTS, epochs(lambda epoch: epoch + 1)), "snapshots"),
        # Of a claim that the log lacks: a power cut took it, which is noted and no difference.
        (
            on(SNAPSHOTS, commits(lambda it: structs.replace(it, epoch=of_lost_claim(it.epoch)))),
            None,
        ),
        (
            on(SNAPSHOTS, commits(lambda it: structs.replace(it, next_record=10**9))),
            "snapshots",
        ),
        (
            on(
                SNAPSHOTS,
                commits(lambda it: structs.replace(it, next_command=it.next_command - 1)),
            ),
            "snapshots",
        ),
        (on(SNAPSHOTS, replaced('"orders":[["', '"orders":[["0', 0)), "snapshots"),
        (on(SNAPSHOTS, replaced('"clock":', '"clock":1', 0)), "snapshots"),
        (on(SNAPSHOTS, lambda records: records[1:]), "snapshots"),
        # A snapshot without a commit was abandoned and is ignored.
        (on(SNAPSHOTS, lambda records: [*records, records[0]]), None),
        (on(SNAPSHOTS, extra(b"{")), None),
        (on(COMMANDS, extra(encode(Tick()))), "outcomes"),
        # A record of a stale epoch does not count and is therefore no difference.
        (on(EXECUTIONS, lambda records: [*records, records[-1]]), None),
    ],
)
def test_audit_reports_a_changed_record(
    market: AuditedMarket, change: Change, noticed: Name | None
) -> None:
    report = with_changed_log(market, change).audit()
    assert failing(report) == ({noticed} if noticed else set()), "\n".join(report.lines())


def test_audit_reports_a_missing_outcome_in_the_middle(market: AuditedMarket) -> None:
    def change(records: list[Record]) -> list[Record]:
        return [*records[:3], *records[4:]]

    report = with_changed_log(market, on(EXECUTIONS, change)).audit()
    assert "outcomes" in failing(report)
    assert "expected" in report["outcomes"].samples[0]


def test_audit_reports_an_altered_outcome(market: AuditedMarket) -> None:
    change = replaced('"client_order_id":"', '"client_order_id":"x', 0)
    report = with_changed_log(market, on(EXECUTIONS, change)).audit()
    assert failing(report) == {"recomputed", "answers", "stored_orders"}, "\n".join(report.lines())
    assert report["recomputed"].differences == 1


@pytest.mark.parametrize(
    ("edit", "noticed"),
    [
        (first_fill(quantity=1), {"quantities", "priority", "trades_topic", "stored_trades"}),
        (first_fill(price=1), {"priority", "trades_topic", "stored_trades", "stored_orders"}),
        (first_fill(sequence=1), {"sequences", "trades_topic"}),
        (first_fill(maker_remaining_quantity=1), {"quantities"}),
        (first_taker(lambda it: structs.replace(it, valid_until=1)), {"validity", "answers"}),
        (
            first_taker(lambda it: structs.replace(it, fills=it.fills[1:])),
            {"quantities", "bought_sold", "trades_topic", "stored_trades", "stored_sums"},
        ),
        (
            first_taker(
                lambda it: structs.replace(
                    it, fills=(structs.replace(it.fills[0], maker_order_id="x"), *it.fills[1:])
                )
            ),
            {"final_state", "cash", "bought_sold", "priority"},
        ),
        (
            nth_to_rest(100, lambda it: structs.replace(it, price=10**9)),
            {"crossed", "book_topic"},
        ),
        (
            first_to_rest(lambda it: structs.replace(it, book_sequence=it.book_sequence + 1)),
            {"sequences"},
        ),
        (first_cancelled(lambda it: structs.replace(it, order_id="x")), {"final_state", "answers"}),
    ],
)
def test_audit_reports_an_outcome_that_breaks_the_market(
    market: AuditedMarket, edit: Edit, noticed: set[Name]
) -> None:
    """Invariants of the outcomes fail directly, not only by comparison with the engine."""
    report = with_changed_log(market, on(EXECUTIONS, edit)).audit()
    assert failing(report) >= {"recomputed", *noticed}, "\n".join(report.lines())


def test_audit_reports_an_altered_command(market: AuditedMarket) -> None:
    change = replaced('"document_number":"', '"document_number":"9', 5)
    report = with_changed_log(market, on(COMMANDS, change)).audit()
    assert {"recomputed", "answers"} <= failing(report) <= {"answers", *ENGINE}


def test_audit_reports_a_cancel_granted_to_another_broker(market: AuditedMarket) -> None:
    def change(records: list[Record]) -> list[Record]:
        """Attribute every cancel to the first one's broker; most of the cancels were successful."""
        other = ""
        for number, record in enumerate(records):
            command = command_of(record.value)
            if isinstance(command, CancelOrder):
                other = other or command.broker_id
                value = encode(structs.replace(command, broker_id=other))
                records[number] = record._replace(value=value)
        return records

    report = with_changed_log(market, on(COMMANDS, change)).audit()
    assert "owner" in failing(report)
    assert failing(report) <= {"owner", "answers", *ENGINE}, "\n".join(report.lines())


@pytest.mark.parametrize("topic", [COMMANDS, EXECUTIONS])
def test_audit_of_a_trimmed_log_without_a_snapshot_is_refused(
    market: AuditedMarket, topic: Topic
) -> None:
    copy = with_changed_log(market, on(SNAPSHOTS, lambda _: []))
    trim(copy, topic, 2)
    with pytest.raises(UnavailableError, match=f"beginning of {topic.name}/0 is gone"):
        copy.audit()


def test_audit_of_a_snapshot_without_its_chunks_is_noted(market: AuditedMarket) -> None:
    copy = with_changed_log(market, lambda _, records: records)
    trim(copy, SNAPSHOTS, 1)
    report = copy.audit()
    assert report.holds
    assert report["snapshots"].note == "chunks of some are gone by retention"


def test_audit_reports_an_order_of_unknown_result_stored_twice(market: AuditedMarket) -> None:
    first = market.client_lines[0]
    unknown = ClientLine("unknown", first.broker_id, first.client_order_id)
    assert failing(market.audit([unknown, *market.client_lines[1:]])) == set()

    def change(records: list[Record]) -> list[Record]:
        named = f'"client_order_id":"{first.client_order_id}"'.encode()
        found = next(it for it in records if named in (it.value or b""))
        return [*records, records[-1]._replace(value=found.value)]

    copy = with_changed_log(market, on(COMMANDS, change))
    assert failing(copy.audit([unknown])) == {"outcomes", "acknowledged"}


def test_audit_reports_an_acknowledged_order_missing_from_the_log(market: AuditedMarket) -> None:
    lost = ClientLine("acknowledged", "b", "c", order_id(1, 0, 1))
    report = market.audit([*market.client_lines, lost])
    assert failing(report) == {"acknowledged"}


def test_audit_reports_a_refused_order_in_the_log(market: AuditedMarket) -> None:
    first = market.client_lines[0]
    refused = ClientLine("refused", first.broker_id, first.client_order_id)
    report = market.audit([refused, *market.client_lines[1:]])
    assert failing(report) == {"refused"}


def test_audit_reports_an_acknowledged_order_in_the_log_twice(market: AuditedMarket) -> None:
    def change(records: list[Record]) -> list[Record]:
        values = [record.value or b"" for record in records]
        placed = next(value for value in values if b'"place_order"' in value)
        twice = msgspec.json.decode(placed, type=PlaceOrder)
        return [*records, records[-1]._replace(value=encode(twice))]

    report = with_changed_log(market, on(COMMANDS, change)).audit()
    assert failing(report) == {"outcomes", "acknowledged"}
