"""Deletion of old data by an operator: rows in PostgreSQL, and the beginning of the log."""
