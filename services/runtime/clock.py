"""The wall clock as the records of the topics carry it."""

import time


def now_ms() -> int:
    """The time in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000
