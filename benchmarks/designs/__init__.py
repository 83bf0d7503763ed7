"""Three simpler designs behind the exchange's seven API calls, as baselines for its measurements.

V1 `in_postgres`  stateless API, PostgreSQL matches: one transaction per order, row locks
V2 `reads_stored` matches in memory, writes behind every 30 ms, reads from PostgreSQL
V3 `in_memory`    everything in memory, writes behind every 30 ms, PostgreSQL for restarts only

Each is implemented as well as its design allows. They share the HTTP layer (`app`); V2 and V3 share
the market (`market`, pure) and the write-behind (`write_behind`), V1 and V2 the reads (`stored`).
Their guarantees when they answer 201 differ, and the comparison shows the cost of each.
"""
