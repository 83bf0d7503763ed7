"""After everything that the tests before did to one exchange, faults included: the audit."""

from msgspec import structs

from services.cli.audit_run import run_audit
from tests.support.exchange import Exchange


def test_audit_of_all_that_happened_holds(exchange: Exchange) -> None:
    settings = structs.replace(
        exchange.stack.settings, kafka=exchange.bootstrap, database_url=exchange.database_url
    )
    report = run_audit(settings, None, 30.0, lambda _: None)
    broken = [found.name for found in report.invariants() if found.differences]
    assert broken == [], "\n".join(report.lines())
