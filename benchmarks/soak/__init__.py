"""Long-log benchmark: a day of a whole market through a fresh exchange, then recoveries.

`flow` generates commands (pure), `write` sends them, `watch` measures, `recovery` kills processes
and times their recovery, `report` prints the results.
"""
