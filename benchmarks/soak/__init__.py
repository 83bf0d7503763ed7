"""The benchmark of long logs: a day of a whole market through a fresh exchange, then recoveries.

`flow` decides (pure), `write` sends, `watch` measures, `recovery` kills and times, `report` tells.
"""
