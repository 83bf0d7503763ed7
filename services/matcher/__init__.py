"""Commands to executions, trades and book, one consumer per partition.

Reads its partitions of the command log and of snapshots, and its executions up to its own claim.
Writes executions, market.trades, market.book, snapshots, and ticks to its own command partitions.
Owns the books of its partitions. Pure: `book`, `window`, `engine`, `market`, `snapshot` (no clock,
no randomness, no I/O).
"""
