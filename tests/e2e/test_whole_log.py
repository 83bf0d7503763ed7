"""After everything that the tests before did to one exchange, faults included: the audit."""

from services.audit.run import run_audit
from tests.support.exchange import Exchange


def test_audit_of_all_that_happened_holds(exchange: Exchange) -> None:
    report = run_audit(exchange.stack.operator, None, 30.0, lambda _: None)
    broken = [found.name for found in report.invariants() if found.differences]
    assert broken == [], "\n".join(report.lines())
