"""Checks every invariant on a log and a database, by rules that are independent of the engine.

Reads every topic and PostgreSQL; writes nothing. Pure: report, ledger, books, client_answers,
snapshots, public, client_log.
"""
