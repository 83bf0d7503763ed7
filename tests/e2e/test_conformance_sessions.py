"""Every trading rule holds for orders that are placed and changed over WebSocket sessions."""

import pytest

from tests.support.conformance import RULES, TIMEOUT_S, run_conformance
from tests.support.exchange import Exchange


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_exchange_conforms_to_every_trading_rule_over_sessions(exchange: Exchange) -> None:
    run = run_conformance(exchange.url, exchange.admin_key, "--transport", "session")
    assert run.exit_code == 0, run.output
    assert (run.held, run.not_offered) == (RULES, 0)
