"""Chaos run: random faults on a whole exchange under load, then a check of every promise it made.

`python -m tests.chaos --help`. Pure: plan, reconciliation, webhook_check, report. The others run
real processes: cluster (the exchange, with a proxy on each link), supervisor (restarts),
fault_injector, small_disk, clients (load generator), webhook_receivers, liveness, views, checker,
run. defects: seeded defects that the checks must find.
"""
