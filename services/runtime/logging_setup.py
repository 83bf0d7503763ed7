"""Logs JSON lines on standard error, also those of Kafka's C client, at a bounded rate.

Only fields that a call names in `extra={"fields": {...}}` are written.
"""

import logging
import sys
import time

import msgspec

KAFKA_LINES_PER_MINUTE_MAX = 20


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, service, logger, message, then the fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Encode as JSON, so that a newline in a value cannot forge a line."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class RateLimit(logging.Filter):
    """Passes a number of lines per minute; the next one reports how many were dropped."""

    def __init__(self, lines_per_minute: int) -> None:
        super().__init__()
        self._limit = lines_per_minute
        self._minute = 0
        self._count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """True if the line shall be written."""
        minute = int(record.created // 60)
        if minute != self._minute:
            dropped = max(0, self._count - self._limit)
            if dropped:
                record.msg = f"{record.getMessage()} ({dropped} similar lines were left out)"
                record.args = ()
            self._minute, self._count = minute, 0
        self._count += 1
        return self._count <= self._limit


def configure(service: str, level: str) -> None:
    """Configure logging. Call it once, first in a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def kafka_logger() -> logging.Logger:
    """For `logger=` of Kafka's clients, which log every failed connection attempt."""
    logger = logging.getLogger("kafka")
    if not logger.filters:
        logger.addFilter(RateLimit(KAFKA_LINES_PER_MINUTE_MAX))
    return logger
