"""Logs execution records that cannot be decoded: foreign programs wrote them."""

import logging

from services.runtime.logging_setup import RateLimit

log = logging.getLogger(__name__)
# A foreign program may write without end.
log.addFilter(RateLimit(lines_per_minute=60))


def log_unreadable(partition: int, record: int, reason: str) -> None:
    """Write a line about one record."""
    fields = {"partition": partition, "record": record, "reason": reason}
    log.warning("unreadable execution, passed over", extra={"fields": fields})
