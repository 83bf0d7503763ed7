"""Answers queries from views in memory, which it builds from executions.

Reads executions, brokers; PostgreSQL at its start, and for closed orders that have left memory.
Writes nothing. Owns the query views. Pure: `views` and its parts `orders`, `prices`, `books`,
`balances`.
"""
