"""The way into the market: REST requests admitted, routed and written to the command log.

Reads brokers, listings, outcomes from executions. Writes commands, brokers.
Owns admission: who may send what, and to which partition. Pure part: `admission`, `prefer`,
`partition_map`, `registration`, `waiters`.
"""
