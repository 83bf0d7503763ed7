"""The operator's `exchange` command. Thin: every command calls what a service or infra offers.

Reads what it is asked about; writes topics, brokers, listings, and the data directory of `run`.
Owns the supervision of a local exchange. Pure: banner, environment, restarts, listing_plan,
audit_report, audit_ledger, audit_books, audit_answers, audit_snapshots, audit_public,
audit_recompute, audit_client_log, replay_compute, replay_dump.
"""
