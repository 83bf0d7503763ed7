"""Three simpler designs behind the seven calls of the exchange, to measure it against.

V1 `in_postgres`  stateless API, PostgreSQL matches: one transaction an order, row locks
V2 `reads_stored` matches in memory, writes behind every 30 ms, reads from PostgreSQL
V3 `in_memory`    everything in memory, writes behind every 30 ms, PostgreSQL for restarts only

Each is written as well as its idea allows. They share the way in (`app`), V2 and V3 the market
(`market`, pure) and its way into the database (`write_behind`), V1 and V2 the reads (`stored`).
What each promises when it answers 201 differs, and that is the point.
"""
