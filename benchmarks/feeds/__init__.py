"""Budgets of live feeds, queries and order sessions, beside the market of `loadgen run`.

`python -m benchmarks.feeds LINE ...`: each line measures one budget on a fresh exchange.
"""
