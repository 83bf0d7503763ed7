"""Admits REST requests, routes them to partitions and writes them to the command log.

Reads brokers, listings, outcomes from executions. Writes commands, brokers.
Owns admission: who may send what, and to which partition. Pure: `admission`,
`batch_admission`, `prefer`, `registration`, `waiters`.
"""
