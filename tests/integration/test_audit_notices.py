"""The audit passes on what a real matcher and sink made, and notices each change of it, alone."""

from collections.abc import Callable, Iterator

import msgspec
import pytest

from schemas.codec import encode
from schemas.commands import PlaceOrder, Tick
from schemas.ids import order_id
from schemas.topics import BOOK, COMMANDS, EXECUTIONS, TRADES, Topic
from services.cli.audit_client_log import ClientLine
from services.cli.audit_report import AuditReport, Name
from services.cli.log_reader import Record
from tests.integration.audited_market import (
    AuditedMarket,
    Change,
    recorded_market,
    with_changed_log,
    with_changed_rows,
)
from tests.support.exchange import Exchange


@pytest.fixture(scope="module")
def market(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedMarket]:
    with recorded_market(exchange, tmp_path_factory.mktemp("audited")) as recorded:
        yield recorded


def failing(report: AuditReport) -> set[Name]:
    return {found.name for found in report.invariants() if found.differences}


def test_audit_of_a_good_market_holds_and_looked_at_everything(market: AuditedMarket) -> None:
    report = market.audit()
    assert failing(report) == set(), "\n".join(report.lines())
    looked_at = {found.name for found in report.invariants() if found.checked}
    assert looked_at == {found.name for found in report.invariants()} - {"refused"}
    assert report["stored_trades"].checked > 200
    assert report["stored_brokers"].checked == 3


def test_audit_of_an_unchanged_copy_holds(market: AuditedMarket) -> None:
    report = with_changed_log(market, lambda _, records: records).audit()
    assert failing(report) == set(), "\n".join(report.lines())


SOME_ROW = {
    "ONE_ORDER": "(SELECT id FROM orders WHERE order_type = 'limit' LIMIT 1)",
    "ONE_TRADE": "(SELECT id FROM trades LIMIT 1)",
    "ONE_SYMBOL": "(SELECT symbol FROM symbols WHERE partition = 0 ORDER BY symbol LIMIT 1)",
    "ONE_BROKER": "(SELECT id FROM brokers LIMIT 1)",
}


@pytest.mark.parametrize(
    ("statement", "noticed"),
    [
        ("DELETE FROM orders WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET price = price + 1 WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET document_number = '0' WHERE id = ONE_ORDER", "stored_orders"),
        ("UPDATE orders SET client_order_id = NULL WHERE id = ONE_ORDER", "stored_orders"),
        (
            "UPDATE orders SET filled_value = filled_value + 1 WHERE id = ONE_ORDER",
            "stored_orders",
        ),
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
        ("UPDATE balances SET quantity = quantity + 1 WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("UPDATE balances SET value = value - 1 WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("DELETE FROM balances WHERE symbol = ONE_SYMBOL", "stored_sums"),
        ("INSERT INTO balances VALUES (gen_random_uuid(), 'OTHER', 0, 0)", "stored_sums"),
        ("UPDATE log_positions SET clock = clock + '1 ms' WHERE partition = 1", "stored_sums"),
        ("UPDATE log_positions SET clock = NULL WHERE partition = 0", "stored_sums"),
        ("UPDATE brokers SET name = 'Other' WHERE id = ONE_BROKER", "stored_brokers"),
        ("DELETE FROM brokers WHERE id = ONE_BROKER", "stored_brokers"),
        (
            "INSERT INTO brokers SELECT gen_random_uuid(), name, api_key_hash, NULL, created_at"
            " FROM brokers WHERE id = ONE_BROKER",
            "stored_brokers",
        ),
        ("UPDATE log_positions SET next_command = next_command + 1", "stored"),
    ],
)
def test_audit_notices_a_changed_row(
    market: AuditedMarket, exchange: Exchange, statement: str, noticed: Name
) -> None:
    for token, query in SOME_ROW.items():
        statement = statement.replace(token, query)
    report = with_changed_rows(market, exchange.database_url, statement).audit()
    assert failing(report) == {noticed}, "\n".join(report.lines())


def test_audit_of_a_database_filled_before_it_kept_sums_says_so(
    market: AuditedMarket, exchange: Exchange
) -> None:
    statement = "UPDATE log_positions SET summed_from = 1 WHERE partition = 0"
    report = with_changed_rows(market, exchange.database_url, statement).audit()
    assert report.holds
    assert report["stored_sums"].note == "filled in part before it kept sums"


def on(topic: Topic, change: Callable[[list[Record]], list[Record]]) -> Change:
    """Change partition 0 of one topic (the first that is asked for) and nothing else."""
    done: list[bool] = []

    def changed(of: Topic, records: list[Record]) -> list[Record]:
        if of is not topic or done or not records:
            return records
        done.append(True)
        return change(records)

    return changed


def replaced(old: str, new: str, number: int) -> Callable[[list[Record]], list[Record]]:
    """In the nth record that holds `old`, put `new` in its place."""

    def change(records: list[Record]) -> list[Record]:
        where = [i for i, record in enumerate(records) if old.encode() in (record.value or b"")]
        found = records[where[number]]
        text = (found.value or b"").replace(old.encode(), new.encode(), 1)
        records[where[number]] = found._replace(value=text)
        return records

    return change


def one_cent_more(records: list[Record]) -> list[Record]:
    trade = msgspec.json.decode(records[50].value or b"")
    trade["price"] += 1
    records[50] = records[50]._replace(value=msgspec.json.encode(trade))
    return records


def extra(value: bytes) -> Callable[[list[Record]], list[Record]]:
    return lambda records: [*records, records[-1]._replace(key=None, value=value)]


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
        (on(COMMANDS, extra(encode(Tick()))), "outcomes"),
        # A record of a stale epoch does not count, and so is no difference.
        (on(EXECUTIONS, lambda records: [*records, records[-1]]), None),
    ],
)
def test_audit_notices_a_changed_record(
    market: AuditedMarket, change: Change, noticed: Name | None
) -> None:
    report = with_changed_log(market, change).audit()
    assert failing(report) == ({noticed} if noticed else set()), "\n".join(report.lines())


def test_audit_notices_a_missing_outcome_in_the_middle(market: AuditedMarket) -> None:
    def change(records: list[Record]) -> list[Record]:
        return [*records[:3], *records[4:]]

    report = with_changed_log(market, on(EXECUTIONS, change)).audit()
    assert "outcomes" in failing(report)
    assert "expected" in report["outcomes"].samples[0]


def test_audit_notices_an_outcome_that_was_altered(market: AuditedMarket) -> None:
    change = replaced('"client_order_id":"', '"client_order_id":"x', 0)
    report = with_changed_log(market, on(EXECUTIONS, change)).audit()
    assert failing(report) == {"recomputed", "stored_orders"}, "\n".join(report.lines())
    assert report["recomputed"].differences == 1


def test_audit_notices_a_command_that_was_altered(market: AuditedMarket) -> None:
    change = replaced('"document_number":"', '"document_number":"9', 5)
    report = with_changed_log(market, on(COMMANDS, change)).audit()
    assert failing(report) == {"recomputed"}, "\n".join(report.lines())


def test_audit_notices_an_acknowledged_order_that_is_not_in_the_log(
    market: AuditedMarket,
) -> None:
    lost = ClientLine("acknowledged", "b", "c", order_id(1, 0, 1))
    report = market.audit([*market.told, lost])
    assert failing(report) == {"acknowledged"}


def test_audit_notices_a_refused_order_that_is_in_the_log(market: AuditedMarket) -> None:
    first = market.told[0]
    refused = ClientLine("refused", first.broker_id, first.client_order_id)
    report = market.audit([refused, *market.told[1:]])
    assert failing(report) == {"refused"}


def test_audit_notices_an_acknowledged_order_that_is_in_the_log_twice(
    market: AuditedMarket,
) -> None:
    def change(records: list[Record]) -> list[Record]:
        twice = msgspec.json.decode(records[0].value or b"", type=PlaceOrder)
        return [*records, records[-1]._replace(value=encode(twice))]

    report = with_changed_log(market, on(COMMANDS, change)).audit()
    assert failing(report) == {"outcomes", "acknowledged"}
