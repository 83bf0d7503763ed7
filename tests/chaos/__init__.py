"""Chaos: faults from a seed strike a whole exchange under load, then everything must hold.

`python -m tests.chaos --help`. Pure: plan, tally, notices, report. The rest runs real processes:
arena (the exchange, each of its links through a proxy), keeper (restarts), striker (faults),
small_disk, crowd (clients), listeners (their receivers), liveness, views, judge, run. defects:
what the judge must find.
"""
