"""Stores executions and brokers in PostgreSQL, exactly once.

Reads executions, brokers. Writes PostgreSQL: rows and log position in one fenced transaction.
Owns the tables. Pure: `rows` (changes of a batch) and `copy_format` (the same as COPY text).
"""
