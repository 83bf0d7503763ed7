"""Answers queries from views in memory, which it builds from executions.

Reads executions, brokers, listings; PostgreSQL at its start, and for data no longer in memory.
Writes nothing. Owns the query views. Pure: `views` and its parts `orders`, `prices`, `books`,
`balances`, `tape`, `candles`; `overlay`, `stocks`, `tickers`.
"""
