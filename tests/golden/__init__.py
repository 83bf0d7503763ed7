"""Command logs with permanent outcomes: a replay must always yield the same bytes."""
