"""Audit of the shared exchange after all tests that used it, including their faults."""

from services.audit.run import run_audit
from services.runtime.progress import Progress
from tests.support.exchange import Exchange


def test_audit_after_all_other_tests_holds(exchange: Exchange) -> None:
    report = run_audit(exchange.stack.operator, None, 30.0, Progress())
    broken = [found.name for found in report.invariants() if found.differences]
    assert broken == [], "\n".join(report.lines())
