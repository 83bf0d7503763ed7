"""Deletion of what is old, by an operator: rows in PostgreSQL, and the beginning of the log."""
