"""`exchange trim` on a recorded market: what is deleted, what must stay, and what holds afterwards.

The audit is the judge: it recomputes what is left of the log and compares every row with it.
"""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from msgspec import structs

from conformance.api import Api, eventually
from infra.ports import free_port
from infra.servers import LocalServers
from schemas.topics import COMMANDS, EXECUTIONS, SNAPSHOTS, Topic
from services.audit.report import AuditReport
from services.audit.run import run_audit
from services.local.exchange import LocalExchange
from services.matcher.recovery import commits_of
from services.replay.run import ReplayRequest, run_replay
from services.runtime.clock import now_ms
from services.runtime.errors import RefusedError, UnavailableError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.progress import Progress
from services.runtime.settings import Settings
from services.trim import rows
from services.trim.log import Bounds, trim_log
from services.trim.rows import TrimmedTable, trim_rows
from tests.integration.audited_market import (
    AuditedMarket,
    recorded_market,
    with_changed_rows,
)
from tests.support.exchange import OUTCOME_WAIT_MS, Exchange

PRICES = 3
WAIT_S = 30.0


@pytest.fixture
def market(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedMarket]:
    """A market of its own for each test, since a trim cannot be undone."""
    with recorded_market(exchange, tmp_path_factory.mktemp("trimmed")) as recorded:
        yield recorded


@pytest.fixture(scope="module")
def whole(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedMarket]:
    """A market that no test trims."""
    with recorded_market(exchange, tmp_path_factory.mktemp("whole")) as recorded:
        yield recorded


@pytest.fixture(scope="module")
def begun_late(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuditedMarket]:
    """A market whose log is trimmed."""
    with recorded_market(exchange, tmp_path_factory.mktemp("begun_late")) as recorded:
        trim_log(recorded.settings, later(), dry_run=False)
        yield recorded


def later() -> Bounds:
    """Everything that is there is old, and every snapshot is settled."""
    now = now_ms() + 3_600_000
    return Bounds(now, now)


def audit(settings: Settings) -> AuditReport:
    return run_audit(settings, None, 0.0, Progress())


def failing(report: AuditReport) -> set[str]:
    return {found.name for found in report.invariants() if found.differences}


def held(settings: Settings, topic: Topic, number: int) -> tuple[int, int]:
    with closing(LogConsumer(kafka_access(settings), Fetch(wait_ms=10))) as consumer:
        return consumer.range(Partition(topic.full_name(settings.topic_prefix), number))


def oldest_snapshot(settings: Settings, number: int) -> tuple[int, int]:
    """Next command and next record of the oldest snapshot."""
    with closing(LogConsumer(kafka_access(settings), Fetch(wait_ms=10))) as consumer:
        topic = Partition(SNAPSHOTS.full_name(settings.topic_prefix), number)
        *_, (_, commit) = commits_of(consumer, topic)
    return commit.next_command, commit.next_record


def query(settings: Settings, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


def trimmed(settings: Settings, *, dry_run: bool = False) -> dict[str, TrimmedTable]:
    found = trim_rows(settings.database_url, later().before_ms, Progress(), dry_run=dry_run)
    return {row.table: row for row in found}


def test_trimmed_log_begins_before_its_oldest_snapshot_and_the_audit_holds_from_there(
    market: AuditedMarket,
) -> None:
    settings = market.settings
    planned = trim_log(settings, later(), dry_run=True)
    assert [held(settings, topic, 0)[0] for topic in (COMMANDS, EXECUTIONS)] == [0, 0]
    assert trim_log(settings, later(), dry_run=False) == planned
    for cut in planned:
        command, record = oldest_snapshot(settings, cut.partition)
        # With the outcomes right before it, which show that nothing before it was lost.
        snapshot = command, record - 1
        assert (cut.commands_cut, cut.executions_cut, cut.limit) == (*snapshot, "snapshot")
        assert held(settings, COMMANDS, cut.partition)[0] == snapshot[0] > 0
        assert held(settings, EXECUTIONS, cut.partition)[0] == snapshot[1] > 0
    again = trim_log(settings, later(), dry_run=False)
    assert all(cut.commands_low == cut.commands_cut for cut in again)

    report = audit(settings)
    assert failing(report) == set(), "\n".join(report.lines())
    for cut in planned:
        assert f"partition {cut.partition} from command {cut.commands_cut}" in report[
            "outcomes"
        ].note.replace(",", "")
    assert report["outcomes"].checked == sum(
        held(settings, COMMANDS, cut.partition)[1] - cut.commands_cut for cut in planned
    )
    with pytest.raises(UnavailableError, match="only be compared with a whole log"):
        market.audit()
    with pytest.raises(UnavailableError, match="replay a trimmed log with --from-snapshot"):
        run_replay(settings, ReplayRequest(0), Progress())
    replayed = run_replay(settings, ReplayRequest(0, verify=True, from_snapshot=True), Progress())
    assert replayed.summary(verified=True).differences == 0


@pytest.mark.parametrize(
    ("statement", "noticed"),
    [
        # Of the trimmed part: open when it began, and therefore known from the snapshot.
        (
            "UPDATE orders SET remaining_quantity = remaining_quantity - 1 WHERE id = (SELECT id"
            " FROM orders WHERE closed_reason IS NULL AND remaining_quantity > 1"
            " ORDER BY command_offset LIMIT 1)",
            "stored_orders",
        ),
        (
            "UPDATE trades SET price = price + 1 WHERE id ="
            " (SELECT id FROM trades ORDER BY command_offset DESC LIMIT 1)",
            "stored_trades",
        ),
        (
            "DELETE FROM orders WHERE id = (SELECT id FROM orders WHERE closed_reason = 'filled'"
            " ORDER BY command_offset DESC LIMIT 1)",
            "stored_orders",
        ),
        (
            "INSERT INTO trades SELECT gen_random_uuid(), buy_order_id, sell_order_id,"
            " buy_broker_id, sell_broker_id, symbol, price, quantity, aggressor_side,"
            " sequence + 100000, executed_at, partition, command_offset, index FROM trades"
            " ORDER BY command_offset DESC LIMIT 1",
            "stored_trades",
        ),
        ("UPDATE symbols SET book_sequence = book_sequence + 1", "stored_sums"),
    ],
)
def test_audit_of_a_trimmed_log_reports_a_changed_row(
    begun_late: AuditedMarket, exchange: Exchange, statement: str, noticed: str
) -> None:
    changed = with_changed_rows(begun_late, exchange.database_url, statement)
    assert noticed in failing(audit(changed.settings))


def test_log_is_not_trimmed_by_a_fresh_snapshot_nor_beyond_the_age_or_the_database(
    whole: AuditedMarket, exchange: Exchange
) -> None:
    settings, bounds = whole.settings, later()
    fresh = trim_log(settings, structs.replace(bounds, settled_ms=0), dry_run=False)
    assert {(cut.commands_cut, cut.executions_cut, cut.limit) for cut in fresh} == {
        (0, 0, "snapshot")
    }
    young = trim_log(settings, structs.replace(bounds, before_ms=0), dry_run=False)
    assert {(cut.commands_cut, cut.executions_cut, cut.limit) for cut in young} == {(0, 0, "age")}
    statement = "UPDATE log_positions SET next_command = 7, next_record = 1"
    behind = with_changed_rows(whole, exchange.database_url, statement)
    cuts = trim_log(behind.settings, bounds, dry_run=True)
    # With the claim before record 1.
    assert {(cut.commands_cut, cut.executions_cut, cut.limit) for cut in cuts} == {
        (7, 0, "database")
    }
    # A database that was filled from another log stores nothing of this one.
    foreign = with_changed_rows(
        whole, exchange.database_url, "UPDATE log_identity SET topic_id = 'other'"
    )
    cuts = trim_log(foreign.settings, bounds, dry_run=True)
    assert {(cut.commands_cut, cut.limit) for cut in cuts} == {(0, "database")}


def test_trimmed_rows_are_old_and_closed_and_the_audit_holds(
    market: AuditedMarket, monkeypatch: pytest.MonkeyPatch, exchange: Exchange
) -> None:
    settings = market.settings
    monkeypatch.setattr(rows, "TRADES_MAX", PRICES)
    monkeypatch.setattr(rows, "PORTION_ROWS", 50)
    ((closed,), (still_open,)) = query(
        settings,
        "SELECT count(*) FROM orders GROUP BY closed_reason IS NULL ORDER BY closed_reason IS NULL",
    )
    # The newest of each symbol, those of open orders, and those with a webhook.
    kept = set(
        query(
            settings,
            "SELECT t.id FROM trades t WHERE sequence > (SELECT max(sequence) - 3 FROM trades n"
            " WHERE n.symbol = t.symbol) OR EXISTS (SELECT FROM orders WHERE closed_reason IS NULL"
            " AND id IN (buy_order_id, sell_order_id)) OR EXISTS (SELECT FROM webhook_deliveries"
            " WHERE event_id = t.id)",
        )
    )
    planned = trimmed(settings, dry_run=True)
    assert failing(audit(settings)) == set()
    done = trimmed(settings)
    assert done == planned
    assert done["orders"] == TrimmedTable("orders", int(str(closed)), int(str(still_open)))
    assert done["trades"].deleted > 20
    assert trimmed(settings)["trades"] == TrimmedTable("trades", 0, done["trades"].kept)

    report = audit(settings)
    assert failing(report) == set(), "\n".join(report.lines())
    assert "trimmed and counted" in report["stored_orders"].note
    assert set(query(settings, "SELECT id FROM trades")) == kept
    lost = with_changed_rows(
        market,
        exchange.database_url,
        "DELETE FROM trades WHERE id = (SELECT id FROM trades LIMIT 1)",
    )
    assert "stored_trades" in failing(audit(lost.settings))


def test_rows_of_the_last_days_stay(whole: AuditedMarket) -> None:
    found = trim_rows(whole.settings.database_url, 1_000, Progress(), dry_run=False)
    assert found == [TrimmedTable("orders", 0, 0), TrimmedTable("trades", 0, 0)]


def test_second_trim_of_rows_at_the_same_time_is_refused(whole: AuditedMarket) -> None:
    with closing(psycopg.connect(whole.settings.database_url)) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [rows._LOCK])
        with pytest.raises(RefusedError, match="is running"):
            trimmed(whole.settings)


def test_exchange_trades_on_after_both_trims(
    market: AuditedMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "TRADES_MAX", PRICES)
    settings = structs.replace(
        market.settings,
        port=free_port(),
        admin_key="an admin key that is long",
        outcome_wait_ms=OUTCOME_WAIT_MS,
    )
    sums = query(settings, "SELECT * FROM balances ORDER BY broker_id, symbol")
    ((gone, owner),) = query(
        settings,
        "SELECT id::text, broker_id::text FROM orders WHERE closed_reason = 'filled' LIMIT 1",
    )
    trim_log(settings, later(), dry_run=False)
    trimmed(settings)
    assert query(settings, "SELECT * FROM balances ORDER BY broker_id, symbol") == sums
    servers = LocalServers(
        settings.data_dir, kafka=settings.kafka, database_url=settings.database_url
    )
    stack = LocalExchange(settings, servers)
    stack.prepare()
    try:
        stack.start_all(("sink", "matcher", "gateway"))
        admin = Api(stack.url, stack.admin_key)
        broker = Api(stack.url, admin.call("POST", "/register", {"name": "New"}).body["api_key"])
        order = {
            "document_number": "12345678901",
            "side": "ask",
            "symbol": "NEW1",
            "price": 100,
            "quantity": 5,
        }
        placed = broker.call("POST", "/orders", order)
        assert placed.status == 201, placed
        # 503 while PostgreSQL's position is not read yet.
        eventually(
            f"the order of {owner} is unknown",
            lambda: broker.call("GET", f"/orders/{gone}").status == 404,
        )
        assert broker.call("GET", f"/orders/{placed.body['order_id']}").status == 200
        eventually("the audit holds", lambda: failing(audit(settings)) == set(), WAIT_S)
    finally:
        stack.stop_all()
