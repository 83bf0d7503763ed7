"""JSON lines on standard error; Kafka's C client goes through the same door, at a bounded rate.

Fields are an allow-list: nothing but what a call names in `extra={"fields": {...}}` is written.
"""

import logging
import sys
import time

import msgspec

KAFKA_LINES_PER_MINUTE_MAX = 20


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, logger, message, then the fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Encoded as JSON, so that a newline in a value cannot forge a line."""
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
    """At most so many lines a minute; the rest are counted and told of with the next one."""

    def __init__(self, lines_per_minute: int) -> None:
        super().__init__()
        self._limit = lines_per_minute
        self._minute = 0
        self._count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
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
    """Call once, first thing in a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def kafka_logger() -> logging.Logger:
    """For `logger=` of Kafka's clients: they tell of each failed connection attempt."""
    logger = logging.getLogger("kafka")
    if not logger.filters:
        logger.addFilter(RateLimit(KAFKA_LINES_PER_MINUTE_MAX))
    return logger
