"""The audit in processes, one for each partition, finds what it finds in one process."""

import pytest

from services.audit import parallel
from tests.integration.audited_market import AuditedMarket, with_changed_rows
from tests.support.exchange import Exchange


def test_audit_in_processes_reports_the_same(
    market: AuditedMarket, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rows of every table, and of every partition.
    changes = (
        "UPDATE orders SET document_number = 'x';"
        "DELETE FROM trades WHERE index = 0; DELETE FROM balances;"
        "UPDATE candles SET volume = 1 WHERE interval = '1d';"
        "UPDATE log_positions SET next_command = next_command - 1"
    )
    changed = with_changed_rows(market, exchange.database_url, changes)
    one_by_one = [each.audit().invariants() for each in (market, changed)]
    monkeypatch.setattr(parallel, "COMMANDS_MIN", 0)
    assert [each.audit().invariants() for each in (market, changed)] == one_by_one
    assert sum(found.differences > 0 for found in one_by_one[1]) >= 5
