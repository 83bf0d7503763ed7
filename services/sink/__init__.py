"""The sink: executions and brokers into PostgreSQL, exactly once.

Reads executions, brokers. Writes PostgreSQL: rows and log position in one fenced transaction.
Owns the tables. Pure part: `rows` (what a batch changes) and `lines` (the same as COPY text).
"""
