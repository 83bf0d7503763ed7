"""The reader: executions folded into views in memory, answered over HTTP.

Reads executions, brokers; PostgreSQL at its start, and for closed orders that have left memory.
Writes nothing.
Owns the query views. Pure part: `views` and its rooms `orders`, `prices`, `books`, `balances`.
"""
