"""Matches the orders of its partitions, one consumer per partition.

Reads its partitions of commands and snapshots, and its executions up to its own claim.
Writes executions, trades, book changes, snapshots, and ticks to its own command partitions.
Owns the order books of its partitions. Pure: `book`, `window`, `engine`, `market_data`, `snapshot`
(no clock, no randomness, no I/O).
"""
